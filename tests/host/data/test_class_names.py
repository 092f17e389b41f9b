"""Names of classes, from folders and files to checkpoints and what is printed."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from opzo.host.api.model import Model
from opzo.host.cli.main import main
from opzo.host.data.class_names import class_text, find_class, other_names, padded
from opzo.host.data.data_sets import load_data
from opzo.host.data.events.event_files import load_events, save_events
from opzo.host.data.events.event_sample import EventSample
from opzo.host.data.events.event_samples import Events
from opzo.host.data.events.recorded_data_sets import RECORDED_DATA_SETS
from opzo.host.training.checkpoint import Checkpoint
from opzo.spec.errors import OpzoError

NAMES = ("fist", "palm", "\x1b[1mwave")


def events(count: int = 6, names: tuple[str, ...] = NAMES) -> Events:
    rng = np.random.default_rng(count)
    samples = []
    for label in range(count):
        lists = [np.flatnonzero(rng.random(24) < 0.3) for _ in range(3)]
        addresses = np.concatenate(lists).astype(np.uint16)
        samples.append(EventSample(addresses, np.cumsum([0, *map(len, lists)]), None, label % 3))
    return replace(Events.of(samples, (2, 3, 4)), names=names)


@pytest.fixture
def data_file(tmp_path: Path) -> Path:
    save_events(tmp_path / "hands.npz", events(), events(3), "made up")
    return tmp_path / "hands.npz"


def train(data: Path, out: Path, *options: str) -> int:
    arguments = ["--device", "golden", "--net", "24-8-3", "--steps", "3", "--input", "spikes", "--lanes", "4"]
    return main(["train", "--data", str(data), "--out", str(out), *arguments, "--epochs", "1", "--json", *options])


def test_names_go_from_the_event_file_into_the_checkpoint_and_onto_the_screen(
    data_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert load_data(str(data_file)).names == NAMES
    assert train(data_file, tmp_path / "run") == 0
    path = tmp_path / "run" / "checkpoint.npz"
    assert Checkpoint.load(path).class_names == NAMES
    assert Model.load(path, "golden").class_names == NAMES
    capsys.readouterr()
    assert main(["info", str(path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["class_names"] == list(NAMES)
    assert main(["eval", str(path), "--json"]) == 0
    figures = json.loads(capsys.readouterr().out)
    assert (figures["class_names"], len(figures["class_accuracy"])) == (list(NAMES), 3)
    assert sum(figures["class_accuracy"]) / 3 == pytest.approx(figures["test_accuracy"])
    assert main(["eval", str(path)]) == 0
    shown = capsys.readouterr().out
    for label, accuracy in enumerate(figures["class_accuracy"]):
        assert re.search(rf"^{re.escape(class_text(label, NAMES))} +{accuracy:.2%}", shown, re.MULTILINE)
    assert main(["predict", str(path), str(data_file)]) == 0
    table = capsys.readouterr().out
    assert set(table.splitlines()[1].split(",")[2:3]) <= {"fist", "palm", r"\x1b[1mwave"}
    assert "\x1b" not in table
    assert main(["data", "show", str(data_file)]) == 0
    shown = capsys.readouterr().out
    assert "'0 (fist)': 1" in shown
    assert "\x1b" not in shown
    # A network with more classes than the data have.
    wide = ["--net", "24-8-5"]
    assert train(data_file, tmp_path / "wide", *wide) == 0
    assert Checkpoint.load(tmp_path / "wide" / "checkpoint.npz").class_names == (*NAMES, "3", "4")


def test_checkpoints_and_event_files_without_names_stay_readable(data_file: Path, tmp_path: Path) -> None:
    save_events(data_file, events(names=()), events(names=()), "made up")
    assert load_data(str(data_file)).names == ()
    assert train(data_file, tmp_path / "run") == 0
    with np.load(tmp_path / "run" / "checkpoint.npz") as arrays:
        assert "class_names" not in arrays
    assert Checkpoint.load(tmp_path / "run" / "checkpoint.npz").class_names == ()


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        (np.array(["a", "b"]), "label 2 but only 2 class names"),
        (np.array([1, 2, 3]), r"classes has type int64 and shape \(3,\); expected a list of 1 to 64 names"),
        (np.array("abc"), r"and shape \(\); expected a list of"),
        (np.array(["a"] * 65), "expected a list of 1 to 64 names"),
        (np.array(["a", "", "c"]), "the name of class 1 has 0 characters, not 1 to 255"),
        (np.array(["a", "b", "c" * 256]), "the name of class 2 has 256 characters"),
    ],
)
def test_names_that_cannot_be_are_refused(data_file: Path, classes: Any, message: str) -> None:
    with np.load(data_file) as arrays:
        changed = {**arrays, "classes": classes}
    np.savez(data_file, **changed)
    with pytest.raises(OpzoError, match=message):
        load_events(data_file)


def test_checkpoint_with_another_number_of_names_is_refused(data_file: Path, tmp_path: Path) -> None:
    assert train(data_file, tmp_path / "run") == 0
    path = tmp_path / "run" / "checkpoint.npz"
    with np.load(path) as arrays:
        changed = {**arrays, "class_names": np.array(["a", "b"])}
    np.savez(path, **changed)
    with pytest.raises(OpzoError, match=r"class_names has type <U1 and shape .*; expected a list of 3 names"):
        Checkpoint.load(path)


def test_images_and_known_data_sets_have_names(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (4, 9))
    path = tmp_path / "images.npz"
    np.savez(path, x_train=pixels, y_train=[0, 1] * 2, x_test=pixels, y_test=[0, 1] * 2, classes=["cat", "dog"])
    assert load_data(str(path)).names == ("cat", "dog")
    assert load_data("digits").names == tuple("0123456789")
    assert [len(data_set.names) for data_set in RECORDED_DATA_SETS.values()] == [10, 11, 10]


def test_other_classes_than_the_network_learned_are_told(
    data_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train(data_file, tmp_path / "run") == 0
    other = tmp_path / "other.npz"
    save_events(other, events(names=("palm", "fist", "x")), events(names=("palm", "fist", "x")), "")
    capsys.readouterr()
    assert main(["eval", str(tmp_path / "run"), "--data", str(other)]) == 0
    assert "warning: class 0 is fist in the network but palm in the data" in capsys.readouterr().err
    assert other_names(NAMES, ()) == other_names((), NAMES) == other_names(NAMES, NAMES) == ""


def test_classes_are_found_by_number_or_name() -> None:
    assert [find_class(text, NAMES, 3) for text in ("palm", "2", "0")] == [1, 2, 0]
    assert find_class("1", (), 3) == 1
    for text in ("3", "-1", "nan", "1.5", "9" * 30, "²", ""):
        with pytest.raises(
            OpzoError, match=r"is not a class; give a number in 0\.\.2 \(the network has no class names"
        ):
            find_class(text, (), 3)
    with pytest.raises(OpzoError, match=r"'plam' is not a class \(did you mean 'palm'\?\); .* or one of fist, palm, "):
        find_class("plam", NAMES, 3)
    assert [class_text(label, NAMES) for label in (0, 2, 3)] == ["0 (fist)", "2 (\\x1b[1mwave)", "3"]
    assert class_text(7, tuple("0123456789")) == "7"
    assert padded((), 3) == ()
    assert padded(NAMES, 2) == NAMES[:2]
