"""Event files, named data sets from files on disk, and opzo data."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tonic.dataset

from opzo.host.cli.main import main
from opzo.host.data.data_sets import load_data
from opzo.host.data.events import recorded_data_sets
from opzo.host.data.events.binning import Binning
from opzo.host.data.events.event_files import load_events, save_events
from opzo.host.data.events.event_sample import EventSample
from opzo.host.data.events.event_samples import Events
from opzo.host.data.events.recorded_data_sets import RECORDED_DATA_SETS, load_recorded_data
from opzo.spec.errors import OpzoError


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPZO_CACHE", str(tmp_path / "cache"))


@pytest.fixture(autouse=True)
def no_download(monkeypatch: pytest.MonkeyPatch) -> None:
    def download(self: Any) -> None:
        raise AssertionError("downloads")

    monkeypatch.setattr(tonic.dataset.Dataset, "download", download)


def events(count: int, *, graded: bool = False) -> Events:
    rng = np.random.default_rng(count)
    samples = []
    for label in range(count):
        lists = [np.flatnonzero(rng.random(24) < 0.3) for _ in range(3)]
        addresses = np.concatenate(lists).astype(np.uint16)
        values = rng.integers(1, 256, len(addresses)).astype(np.uint8) if graded else None
        samples.append(EventSample(addresses, np.cumsum([0, *map(len, lists)]), values, label))
    return Events.of(samples, (2, 3, 4))


@pytest.mark.parametrize("graded", [False, True])
def test_event_file_gives_back_what_was_saved(tmp_path: Path, graded: bool) -> None:
    path = tmp_path / "set.npz"
    train, test = events(4, graded=graded), events(2, graded=graded)
    save_events(path, train, test, "by hand")
    *parts, description = load_events(path)
    assert description == "by hand"
    for part, expected in zip(parts, (train, test), strict=True):
        assert isinstance(part, Events)
        assert part.digest == expected.digest
        assert (part.shape, part.graded) == (expected.shape, graded)
    data = load_data(str(path))
    assert (data.name, data.digest) == ("set.npz", train.digest)


def test_parts_of_another_kind_are_refused(tmp_path: Path) -> None:
    with pytest.raises(OpzoError, match=r"training events are .* test events"):
        save_events(tmp_path / "set.npz", events(2), events(2, graded=True), "")
    assert not (tmp_path / "set.npz").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"version": np.array(2)}, "is an event file of version 2; this opzo reads version 1"),
        ({"version": np.array("1\n")}, r"is an event file of version 1\\n; this opzo reads version 1"),
        ({"train_offsets": None}, "lacks train_offsets"),
        ({"test_addresses": np.zeros(3)}, "test_addresses is of type float64"),
        ({"shape": np.array([2, 3])}, r"shape is \[2, 3\]; expected three whole numbers"),
        ({"train_addresses": np.zeros(0, np.uint16)}, "offsets that do not cover the events"),
        ({"shape": np.array([2, 1 << 40, 1 << 40])}, "events have at most 65536 addresses"),
        ({"description": np.array(["a", "b"])}, "description is not a string"),
        ({"test_y": np.array([0, 64], np.uint8)}, "label 64; the maximum is 32768 steps and label 63"),
        ({"format": None}, "is not an event file|lacks"),
    ],
)
def test_damaged_event_file_is_told(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    path = tmp_path / "set.npz"
    save_events(path, events(3), events(2), "")
    with np.load(path) as arrays:
        changed = {name: array for name, array in ({**arrays} | change).items() if array is not None}
    np.savez(path, **changed)
    with pytest.raises(OpzoError, match=message):
        load_events(path)


def test_offsets_whose_differences_wrap_do_not_go_through_the_events() -> None:
    offsets = np.array([[0, 2**63 - 1, -(2**63), -1, 1]])
    with pytest.raises(OpzoError, match="offsets that do not cover the events in order"):
        Events(np.array([3], np.uint16), offsets, np.zeros(1, np.uint8), (2, 2, 2))


def nmnist_bytes(*rows: tuple[int, int, int, int]) -> bytes:
    """Of (x, y, polarity, microseconds)."""
    return b"".join(bytes((x, y)) + (polarity << 23 | t).to_bytes(3, "big") for x, y, polarity, t in rows)


def write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def nmnist(root: Path) -> Path:
    for part, count in (("Train", 3), ("Test", 2)):
        for label in range(count):
            rows = [(label, 1, 0, 100), (label, 1, 0, 200), (33, 33, 1, 3500), (5, 5, 1, 95_000)]
            write(root / "NMNIST" / part / str(label) / f"{label:05d}.bin", nmnist_bytes(*rows))
    return root


def test_nmnist_is_read_from_its_files_with_the_papers_preprocessing(tmp_path: Path) -> None:
    train, test = load_recorded_data("nmnist", nmnist(tmp_path))
    assert (train.shape, train.steps, len(train), len(test)) == ((2, 34, 34), 30, 3, 2)
    assert train.y.tolist() == [0, 1, 2]
    # 3 ms steps, of which the first 30: the event at 95 ms is left out.
    assert train[1].addresses.tolist() == [34 + 1, 2 * 34 * 34 - 1]
    assert train[1].offsets.tolist() == [0, 1, *[2] * 29]
    graded, _ = load_recorded_data("nmnist", tmp_path, binning=Binning(2, bin_us=50_000, counts=True))
    assert graded.values is not None
    assert graded[0].values is not None
    assert graded[0].values.tolist() == [2, 1, 1]


def test_middle_of_the_sensor_of_nmnist_is_an_option(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = nmnist(tmp_path)
    data = load_data("nmnist", root, crop=32)
    assert (data.train.shape, data.train.inputs, data.train.steps) == ((2, 32, 32), 2048, 30)
    # The edge of one pixel is left out: (2, 1) is now (1, 0), and (33, 33) is outside, as is column 0 of class 0.
    assert [sample.addresses.tolist() for sample in data.train] == [[], [0], [1]]
    assert load_data("nmnist", root).train.shape == (2, 34, 34)
    with pytest.raises(OpzoError, match=r"digits has images; crop is for events of a sensor: leave it out"):
        load_data("digits", crop=32)
    out = str(tmp_path / "out.npz")
    assert main(["data", "convert", "nmnist", "--data-root", str(root), "--crop", "32", "--out", out, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["shape"] == [2, 32, 32]
    assert load_events(Path(out))[0].digest == data.train.digest


def test_middle_of_events_is_that_of_their_recordings(tmp_path: Path) -> None:
    for graded in (False, True):
        path = str(tmp_path / "set.npz")
        parts = events(4, graded=graded), events(2, graded=graded)
        save_events(Path(path), *parts, "by hand")
        for part, cropped in zip(parts, (load_data(path, crop=2).train, load_data(path, crop=2).test), strict=True):
            # Columns 1 and 2 of 4, rows 0 and 1 of 3.
            pixels = part.dense(np.arange(len(part))).reshape(len(part), 3, 2, 3, 4)[..., :2, 1:3]
            assert (cropped.shape, cropped.graded) == ((2, 2, 2), graded)
            np.testing.assert_array_equal(cropped.dense(np.arange(len(part))), pixels.reshape(len(part), 3, 8))
        with pytest.raises(OpzoError, match="has 3 x 4 pixels, which cannot be cropped to 4 x 4"):
            load_data(path, crop=4)


def test_crop_is_kept_with_the_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root, run = str(nmnist(tmp_path)), str(tmp_path / "run")
    small = ["--net", "2048-4-10", "--epochs", "1", "--device", "golden", "--lanes", "4", "--quiet"]
    assert main(["train", "--data", "nmnist", "--data-root", root, "--crop", "32", "--out", run, *small]) == 0
    assert main(["eval", run]) == 0
    assert main(["train", "--resume", run, "--quiet"]) == 0
    file = str(tmp_path / "full.npz")
    assert main(["data", "convert", "nmnist", "--data-root", root, "--out", file]) == 0
    for source in ("nmnist", str(tmp_path / "NMNIST" / "Test" / "1" / "00001.bin"), file):
        assert main(["stream", run, source, "--quiet"]) == 0
    capsys.readouterr()
    assert main(["eval", run, "--crop", "0"]) == 2
    assert "2 x 34 x 34" in capsys.readouterr().err


def test_converted_data_is_kept_until_a_file_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = nmnist(tmp_path)
    first, _ = load_recorded_data("nmnist", root)
    monkeypatch.setattr("opzo.host.data.events.recorded_data_sets.bin_recordings", None)
    again, _ = load_recorded_data("nmnist", root)
    assert again.digest == first.digest
    monkeypatch.undo()
    monkeypatch.setenv("OPZO_CACHE", str(tmp_path / "cache"))
    path = root / "NMNIST" / "Train" / "0" / "00000.bin"
    write(path, nmnist_bytes((9, 9, 1, 10)))
    changed, _ = load_recorded_data("nmnist", root)
    assert changed[0].addresses.tolist() == [34 * 34 + 9 * 34 + 9]
    # Corrected in place, with the time of the last writing set back.
    times = path.stat()
    write(path, nmnist_bytes((8, 9, 1, 10)))
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    changed, _ = load_recorded_data("nmnist", root)
    assert changed[0].addresses.tolist() == [34 * 34 + 9 * 34 + 8]


def test_gestures_that_change_parts_are_converted_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def parts(train: str, test: str) -> list[int]:
        for name, text in (("trials_to_train.txt", train), ("trials_to_test.txt", test)):
            write(tmp_path / "DvsGesture" / name, text.encode())
        return [events.offsets.shape[0] for events in load_recorded_data("dvs-gesture", tmp_path)]

    for name in "abc":
        write(tmp_path / "DvsGesture" / f"{name}.aedat", b"")
        write(tmp_path / "DvsGesture" / f"{name}_labels.csv", b"")
    sample = EventSample(np.zeros(0, np.uint16), np.zeros(2, np.int64))
    monkeypatch.setattr(recorded_data_sets, "gesture_recordings", lambda paths: paths)
    monkeypatch.setattr(
        recorded_data_sets, "bin_recordings", lambda paths, *_: Events.of([sample] * len(paths), (1, 1, 1))
    )
    assert parts("a.aedat\nb.aedat\n", "c.aedat\n") == [2, 1]
    assert parts("a.aedat\n", "b.aedat\nc.aedat\n") == [1, 2]


def test_gestures_are_read_from_tonics_copy(tmp_path: Path) -> None:
    for part, users in (("ibmGestureTrain", 2), ("ibmGestureTest", 1)):
        for user in range(users):
            for label in range(2):
                path = tmp_path / "DVSGesture" / part / f"user{user + 1:02d}_natural" / f"{label}.npy"
                path.parent.mkdir(parents=True, exist_ok=True)
                # x, y, polarity, milliseconds
                np.save(path, np.array([[127, 0, 1, 1], [0, 127, 0, 2], [64, 64, 1, 40]], float))
    train, test = load_recorded_data("dvs-gesture", tmp_path)
    assert (len(train), len(test), train.steps, train.shape) == (4, 2, 20, (2, 45, 45))
    assert sorted(train.y.tolist()) == [0, 0, 1, 1]
    assert train.inputs <= 4096


@pytest.mark.parametrize("name", list(RECORDED_DATA_SETS))
def test_absent_files_are_told_with_where_to_get_them(name: str, tmp_path: Path) -> None:
    with pytest.raises(OpzoError, match="--data-root DIR"):
        load_recorded_data(name, "")
    with pytest.raises(OpzoError, match=f"{RECORDED_DATA_SETS[name].folder}|DvsGesture"):
        load_recorded_data(name, tmp_path)


def test_damaged_recording_is_named(tmp_path: Path) -> None:
    root = nmnist(tmp_path)
    bad = root / "NMNIST" / "Test" / "1" / "00001.bin"
    bad.write_bytes(bad.read_bytes()[:-2])
    with pytest.raises(OpzoError, match=r"00001\.bin: truncated: 3 of 5 bytes at byte 15"):
        load_recorded_data("nmnist", root)


def test_convert_and_show(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for part in ("train", "test"):
        for label, name in enumerate(("left", "right")):
            for number in range(2):
                rows = [(label, number, 1, 10 * n) for n in range(4)]
                write(tmp_path / "hands" / part / name / f"{number}.bin", nmnist_bytes(*rows))
    out = tmp_path / "hands.npz"
    arguments = ["data", "convert", str(tmp_path / "hands"), "--out", str(out), "--steps", "2", "--counts", "--json"]
    assert main(arguments) == 0
    assert json.loads(capsys.readouterr().out)["train_samples"] == 4
    train, test, _ = load_events(out)
    assert (train.steps, train.graded, train.y.tolist(), len(test)) == (2, True, [0, 0, 1, 1], 4)
    assert main(["data", "show", str(out), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["steps"] == 2
    assert main(["data", "show", str(tmp_path / "hands" / "train" / "left" / "0.bin")]) == 0
    assert "34" in capsys.readouterr().out
    assert main(["data", "convert", str(tmp_path / "nowhere"), "--out", str(out)]) == 2
    assert "opzo: error: there is no" in capsys.readouterr().err


def test_synthetic_data_set_is_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    images = tmp_path / "images.npz"
    pixels = np.random.default_rng(0).integers(0, 256, (6, 8, 8))
    np.savez(images, x_train=pixels[:4], y_train=[0, 1, 0, 1], x_test=pixels[4:], y_test=[0, 1])
    out = tmp_path / "saccades.npz"
    assert main(["data", "saccade", "--images", str(images), "--out", str(out), "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["synthetic"] is True
    train, test, description = load_events(out)
    assert (len(train), len(test), train.shape) == (4, 2, (2, 34, 34))
    assert "synthetic" in description
