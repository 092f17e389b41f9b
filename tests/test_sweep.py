"""opzo sweep: runs of all combinations, gone on with where they were stopped, one table of results."""

import csv
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from opzo.host.checkpoint import Checkpoint
from opzo.host.cli import main
from opzo.host.commands import sweep
from opzo.host.run_folder import RunFolder
from opzo.host.sweep import groups, plan
from opzo.spec.errors import OpzoError


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "patterns.npz"
    rng = np.random.default_rng(0)
    labels = np.arange(90) % 3
    x = np.kron(np.eye(3), np.ones(3))[labels] * 200 + rng.integers(0, 55, (90, 9))
    np.savez(path, x_train=x[:60], y_train=labels[:60], x_test=x[60:], y_test=labels[60:])
    return path


@pytest.fixture
def file(tmp_path: Path, data: Path) -> Path:
    path = tmp_path / "small.toml"
    path.write_text(
        f'[settings]\ndata = "{data}"\ndevice = "golden"\nnet = "9-6-3"\nlanes = 4\nepochs = 2\n'
        '[sweep]\nrule = ["opzo", "dfa"]\nseed = [0, 1]\n'
    )
    return path


def run(file: Path, out: Path, capsys: pytest.CaptureFixture[str], *options: str, code: int = 0) -> dict:
    assert main(["sweep", str(file), "--out", str(out), "--json", "--quiet", *options]) == code
    return json.loads(capsys.readouterr().out)


def test_all_combinations_are_trained_and_tabulated(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    result = run(file, tmp_path / "out", capsys, "--jobs", "2")
    assert [(row["rule"], row["seed"]) for row in result["runs"]] == [("opzo", 0), ("opzo", 1), ("dfa", 0), ("dfa", 1)]
    assert result["failed"] == []
    for group in result["groups"]:
        members = [row["test_accuracy"] for row in result["runs"] if row["rule"] == group["rule"]]
        assert group["runs"] == 2
        assert group["test_accuracy"] == sum(members) / 2
        assert (group["test_accuracy_min"], group["test_accuracy_max"]) == (min(members), max(members))
    with (tmp_path / "out" / "results.csv").open() as lines:
        rows = list(csv.DictReader(lines))
    assert [float(row["test_accuracy"]) for row in rows] == [row["test_accuracy"] for row in result["runs"]]
    assert "firing_rate_1" in rows[0]
    # A run is what opzo train does with the same settings.
    single = tmp_path / "single"
    config = tmp_path / "out" / "rule=dfa,seed=1" / "config.toml"
    assert main(["train", "--config", str(config), "--out", str(single), "--json", "-q"]) == 0
    assert json.loads(capsys.readouterr().out)["test_loss"] == result["runs"][3]["test_loss"]


def test_stopped_sweep_goes_on(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = run(file, tmp_path / "whole", capsys, "--jobs", "1")
    out = tmp_path / "out"
    run(file, out, capsys, "--jobs", "1")
    # As if one run had been stopped after its last checkpoint, and one had never begun.
    (out / "rule=opzo,seed=1" / "figures.json").unlink()
    for path in (out / "rule=dfa,seed=0").iterdir():
        path.unlink()
    trained: list[str] = []
    one = sweep._train_one

    def spy(planned):
        trained.append(planned.folder.name)
        return one(planned)

    monkeypatch.setattr(sweep, "_train_one", spy)
    again = run(file, out, capsys, "--jobs", "1")
    assert trained == ["rule=opzo,seed=1", "rule=dfa,seed=0"]
    for one_row, other in zip(again["runs"], whole["runs"], strict=True):
        for name in ("test_accuracy", "test_loss", "cycles_per_train_sample"):
            assert one_row[name] == other[name]


def test_run_that_fails_is_told_and_the_others_are_kept(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    one = sweep._train_one
    monkeypatch.setattr(sweep, "_train_one", lambda p: (p, 1) if p.swept["seed"] else one(p))
    assert main(["sweep", str(file), "--out", str(tmp_path / "out"), "--json", "-q", "--jobs", "1"]) == 1
    captured = capsys.readouterr()
    result = json.loads(captured.out)
    assert [row["seed"] for row in result["runs"]] == [0, 0]
    assert len(result["failed"]) == 2
    assert "was not trained to its end; the same command goes on with it" in captured.err


def test_stopped_by_a_signal_it_stops_its_processes_and_goes_on(file: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    file.write_text(file.read_text().replace("epochs = 2", "epochs = 100000"))
    command = [sys.executable, "-m", "opzo", "sweep", str(file), "--out", str(out), "--jobs", "2"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for(lambda: len(list(out.glob("*/metrics.jsonl"))) == 2, "two runs to begin")
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 130
    finally:
        process.kill()
    for folder in (path.parent for path in out.glob("*/metrics.jsonl")):
        # The lock is free once nobody trains there.
        wait_for(lambda folder=folder: is_free(folder), f"{folder} to be free")
        Checkpoint.load(folder / "checkpoint.npz")


def wait_for(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.1)


def is_free(folder: Path) -> bool:
    try:
        with RunFolder(folder).lock():
            return True
    except OpzoError:
        return False


def test_folder_in_use_is_left_alone(file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(file, tmp_path / "out", capsys, "--jobs", "1")
    folder = tmp_path / "out" / "rule=opzo,seed=0"
    before = (folder / "checkpoint.npz").read_bytes()
    with RunFolder(folder).lock():
        assert main(["train", "--resume", str(folder)]) == 2
    assert f"another process trains in {folder}; wait for it, or stop it" in capsys.readouterr().err
    assert (folder / "checkpoint.npz").read_bytes() == before


def test_table_on_screen(file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sweep", str(file), "--out", str(tmp_path / "out"), "-q", "--jobs", "1"]) == 0
    out = capsys.readouterr().out
    assert "opzo" in out
    assert "dfa" in out
    assert f"results of 4 runs in {tmp_path / 'out' / 'results.csv'}" in out


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[settings]\nepochs = 1\n", r"must have a table \[settings\] of values and a table \[sweep\] of lists"),
        ("[other]\n[sweep]\nseed = [0]\n", r"must have a table \[settings\]"),
        ("[sweep]\nseed = 3\n", "'seed' in .* must be a list of different values, not 3"),
        ("[sweep]\nseed = []\n", "must be a list of different values"),
        ("[sweep]\nseed = [1, 1]\n", "must be a list of different values"),
        ("[sweep]\nspeed = [1]\n", "unknown key 'speed'"),
        ('[sweep]\nrule = ["opzo", "bp"]\n', "no learning rule 'bp'"),
        ("[sweep]\nkappa = [1, -1]\n", r"kappa in .*bad.toml must be in 0\.\.500, not -1"),
    ],
)
def test_refuses_what_is_no_sweep_before_it_trains(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "bad.toml"
    path.write_text(content)
    with pytest.raises(OpzoError, match=message):
        plan(path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_folder_of_another_sweep_is_left_alone(file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(file, tmp_path / "out", capsys, "--jobs", "1")
    file.write_text(file.read_text().replace("epochs = 2", "epochs = 3"))
    assert main(["sweep", str(file), "--out", str(tmp_path / "out"), "-q"]) == 2
    assert "holds a run with other settings; give another --out" in capsys.readouterr().err


def test_groups_by_hand() -> None:
    rows = [{"rule": "a", "seed": n, "test_accuracy": value, "x": n} for n, value in enumerate((0.5, 0.7, 0.9))]
    rows.append({"rule": "b", "seed": 0, "test_accuracy": 0.1, "x": 7})
    first, second = groups(rows, ["rule"])
    assert first == {
        "rule": "a",
        "runs": 3,
        "test_accuracy": 0.7,
        "x": 1,
        "test_accuracy_min": 0.5,
        "test_accuracy_max": 0.9,
    }
    assert (second["runs"], second["x"]) == (1, 7)
