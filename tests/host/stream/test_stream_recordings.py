"""opzo stream on recordings and data sets: a decision for each recording."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from stream_network import NAMES

from opzo.host.cli.main import main
from opzo.host.data.class_names import class_text
from opzo.host.data.events.event_files import save_events
from opzo.host.data.events.event_sample import EventSample
from opzo.host.data.events.event_samples import Events
from opzo.host.stream.live_source import MAX_GAP
from opzo.host.training.checkpoint import Checkpoint


def recording(path: Path, column: int) -> Path:
    """N-MNIST's format: x, y, polarity and microseconds, of 34 x 34 pixels."""
    rows = [bytes((column + n % 3, n % 34)) + (1 << 23 | 1000 * n).to_bytes(3, "big") for n in range(40)]
    path.write_bytes(b"".join(rows))
    return path


def test_each_unlabelled_recording_has_a_decision(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = [str(recording(tmp_path / f"{column}\x1b[2J.bin", column)) for column in (0, 12, 24)]
    arguments = ["stream", str(trained), "--size", "5x3", "--bin-us", "1000", "--reset"]
    assert main([*arguments, *files, "--json"]) == 0
    figures = json.loads(capsys.readouterr().out)
    assert figures["class_names"] == list(NAMES)
    together = figures["recordings"]
    assert [(r["source"], r["steps"], r["label"]) for r in together] == [(file, 40, None) for file in files]
    assert all(r["decision_name"] == NAMES[r["decision"]] for r in together)
    # Each decision is what the recording comes to alone.
    for file, decided in zip(files, together, strict=True):
        assert main([*arguments, file, "--json"]) == 0
        alone = json.loads(capsys.readouterr().out)
        assert (alone["decision"], alone["decision_name"]) == (decided["decision"], decided["decision_name"])
    assert main([*arguments, *files]) == 0
    shown = capsys.readouterr().out
    assert shown.count("\\x1b[2J.bin: decision ") == 3
    assert "(40 steps)" in shown
    assert "\x1b" not in shown


def test_samples_of_a_data_set_have_decisions_and_windows_do_not_hide_them(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lists = [[np.array([label, 9 + n]) for n in range(4)] for label in range(3)]
    samples = [
        EventSample(np.concatenate(steps).astype(np.uint16), np.arange(5) * 2, None, label)
        for label, steps in enumerate(lists)
    ]
    data = replace(Events.of(samples, (1, 5, 6)), names=("palm", "fist", "x"))
    save_events(tmp_path / "set.npz", data, data, "")
    arguments = ["stream", str(trained), str(tmp_path / "set.npz"), "--json"]
    assert main(arguments) == 0
    said = capsys.readouterr()
    figures = json.loads(said.out)
    assert [(r["sample"], r["label"], r["steps"]) for r in figures["recordings"]] == [(0, 0, 4), (1, 1, 4), (2, 2, 4)]
    right = sum(r["decision"] == r["label"] for r in figures["recordings"])
    assert (figures["decisions"], figures["accuracy"]) == (3, right / 3)
    assert said.err.count("warning: class 0 is fist in the network but palm in the data") == 1
    assert main([*arguments, "--window", "4"]) == 0
    assert json.loads(capsys.readouterr().out)["decisions"] == 3
    # The same without labels.
    with np.load(tmp_path / "set.npz") as arrays:
        np.savez(tmp_path / "bare.npz", **{name: arrays[name] for name in arrays if not name.endswith("_y")})
    assert main(["stream", str(trained), str(tmp_path / "bare.npz")]) == 0
    shown = capsys.readouterr().out
    for decided in figures["recordings"]:
        text = f"bare.npz, sample {decided['sample']}: decision {class_text(decided['decision'], NAMES)} (4 steps)"
        assert text in shown
    assert main(["eval", str(trained), "--data", str(tmp_path / "bare.npz")]) == 2
    assert "lacks train_y, test_y" in capsys.readouterr().err


def test_gap_in_a_recording_is_left_out(trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "a.bin"
    rows = [(n if n < 20 else 1_000_000 + n, n % 34) for n in range(40)]
    file.write_bytes(b"".join(bytes((1, y)) + (1 << 23 | t).to_bytes(3, "big") for t, y in rows))
    arguments = ["stream", str(trained), str(file), "--size", "5x3", "--bin-us", "10", "--json"]
    assert main(arguments) == 0
    figures = json.loads(capsys.readouterr().out)
    assert (figures["gaps"], figures["steps_left_out"]) == (1, 99_999)
    assert figures["steps"] <= 5
    assert MAX_GAP < 99_999


def test_recording_that_cannot_be_read_loses_nothing(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good, bad, out = recording(tmp_path / "good.bin", 3), tmp_path / "bad.bin", tmp_path / "after.npz"
    bad.write_bytes(b"123")
    options = ["--size", "5x3", "--bin-us", "1000", "--learn", "--label", "1", "--save", str(out), "--json"]
    assert main(["stream", str(trained), str(good), str(bad), *options]) == 2
    said = capsys.readouterr()
    assert "opzo: error:" in said.err
    assert "bad.bin" in said.err
    assert json.loads(said.out)["steps"] == 40
    before, after = Checkpoint.load(trained), Checkpoint.load(out)
    assert any((a != b).any() for a, b in zip(before.state.weights, after.state.weights, strict=True))
