"""opzo sweep: runs of all combinations, gone on with where they were stopped, one table of results."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from opzo.host.cli.commands import sweep
from opzo.host.cli.main import main
from opzo.host.training.checkpoint import Checkpoint
from opzo.host.training.run_folder import RunFolder
from opzo.host.training.sweep import groups, plan
from opzo.host.training.sweep_table import sweep_table
from opzo.spec.errors import OpzoError
from opzo.system.folder_lock import locked


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


class InProcess:
    """In place of ``Jobs``: runs the commands one after the other in this process, which takes less time."""

    trained: ClassVar[list[str]] = []
    fails: ClassVar[str] = "nothing"

    def __init__(self, count: int, tell: Callable[[int, str], None], stopping: Callable[[], None]) -> None:
        self.stopped = False

    def run(self, commands: Sequence[Sequence[str]]) -> Generator[tuple[int, int]]:
        for index, command in enumerate(commands):
            place = command[1].split("=", 1)[1]
            self.trained.append(Path(place).name)
            with redirect_stdout(StringIO()):
                yield index, 1 if self.fails in place else main(list(command))


@pytest.fixture
def jobs(monkeypatch: pytest.MonkeyPatch) -> type[InProcess]:
    monkeypatch.setattr(sweep, "Jobs", InProcess)
    monkeypatch.setattr(InProcess, "trained", [])
    monkeypatch.setattr(InProcess, "fails", "nothing")
    # The picture takes longer than the training.
    monkeypatch.setattr(RunFolder, "write_curve", lambda self, title: None)
    return InProcess


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
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], jobs: type[InProcess]
) -> None:
    whole = run(file, tmp_path / "whole", capsys, "--jobs", "1")
    out = tmp_path / "out"
    run(file, out, capsys, "--jobs", "1")
    # As if one run had been stopped after its last checkpoint, and one had never begun.
    (out / "rule=opzo,seed=1" / "figures.json").unlink()
    for path in (out / "rule=dfa,seed=0").iterdir():
        path.unlink()
    jobs.trained.clear()
    again = run(file, out, capsys, "--jobs", "1")
    assert jobs.trained == ["rule=opzo,seed=1", "rule=dfa,seed=0"]
    for one_row, other in zip(again["runs"], whole["runs"], strict=True):
        for name in ("test_accuracy", "test_loss", "cycles_per_train_sample"):
            assert one_row[name] == other[name]


def test_run_that_fails_is_told_and_the_others_are_kept(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], jobs: type[InProcess]
) -> None:
    jobs.fails = "seed=1"
    assert main(["sweep", str(file), "--out", str(tmp_path / "out"), "--json", "-q", "--jobs", "1"]) == 1
    captured = capsys.readouterr()
    result = json.loads(captured.out)
    assert [row["seed"] for row in result["runs"]] == [0, 0]
    assert len(result["failed"]) == 2
    assert "is not complete; the same command resumes it" in captured.err


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_stopped_by_a_signal_its_runs_are_saved_and_end(number: signal.Signals, file: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    file.write_text(file.read_text().replace("epochs = 2", "epochs = 100000"))
    command = [sys.executable, "-m", "opzo", "sweep", str(file), "--out", str(out), "--jobs", "2"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        wait_for(lambda: len(list(out.glob("*/metrics.jsonl"))) == 2, "two runs to begin")
        process.send_signal(number)
        code, (_, err) = process.wait(60), process.communicate()
    finally:
        process.kill()
    if number != signal.SIGKILL:
        assert code == 130
        assert "0 of 4 runs are complete; the same command resumes the others" in err
        # All that trained has been saved before the sweep itself ended.
        assert all(is_free(path.parent) for path in out.glob("*/metrics.jsonl"))
    for folder in (path.parent for path in out.glob("*/metrics.jsonl")):
        # The lock is free once nobody trains there.
        wait_for(lambda folder=folder: is_free(folder), f"{folder} to be free")
        checkpoint = Checkpoint.load(folder / "checkpoint.npz")
        rows = (folder / "metrics.jsonl").read_text().splitlines()
        assert len(rows) == checkpoint.epoch


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


def test_folder_in_use_is_left_alone(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], jobs: type[InProcess]
) -> None:
    run(file, tmp_path / "out", capsys, "--jobs", "1")
    folder = tmp_path / "out" / "rule=opzo,seed=0"
    before = (folder / "checkpoint.npz").read_bytes()
    with RunFolder(folder).lock():
        assert main(["train", "--resume", str(folder)]) == 2
    assert f"another process is training in {folder}; wait for it or stop it" in capsys.readouterr().err
    assert (folder / "checkpoint.npz").read_bytes() == before


def test_table_on_screen(file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], jobs: type[InProcess]) -> None:
    assert main(["sweep", str(file), "--out", str(tmp_path / "out"), "-q", "--jobs", "1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "modelled cycles" in " ".join(lines[:2])
    assert lines[2].split() == ["rule", "runs", "mean", "median", "min", "max", "cycles", "firing", "rates"]
    assert [line.split()[0] for line in lines[3:5]] == ["opzo", "dfa"]
    assert lines[-1] == f"results of 4 runs in {tmp_path / 'out' / 'results.csv'}"


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
        ("[sweep]\nkappa = [1, 1.0]\n", "must be a list of different values"),
        ("[sweep]\nkappa = [nan]\n", "kappa in .*bad.toml must be .*, not nan"),
        ("[sweep]\nseed = [true]\n", "seed in .*bad.toml must be .*, not True"),
        ("[sweep]\nseed = [[1]]\n", "seed in .*bad.toml must be"),
        ("[sweep.a]\nseed = [1]\n", "'a' in .* must be a list"),
        ("[setings]\nseed = 1\n[sweep]\nrate = [1]\n", "'setings' .did you mean 'settings'.. is neither"),
        ("[settings]\nrat = 1\n[sweep]\nseed = [1]\n", "unknown key 'rat' .did you mean 'rate'"),
        ("[sweep]\n" + f"seed = {list(range(2000))}\nrate = {list(range(200))}\nmse = [0, 1]\n", "800,000 runs"),
        ('[sweep]\nnet = ["64-8-10", "65-8-10"]\n', "network 65-8-10 has 65 inputs"),
    ],
)
def test_refuses_what_is_no_sweep_before_it_trains(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "bad.toml"
    path.write_text(content)
    with pytest.raises(OpzoError, match=message):
        plan(path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_runs_of_other_settings_are_kept_aside_and_trained_again(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], jobs: type[InProcess]
) -> None:
    out = tmp_path / "out"
    first = run(file, out, capsys)
    file.write_text(file.read_text().replace("epochs = 2", "epochs = 3"))
    assert main(["sweep", str(file), "--out", str(out), "--json", "-q"]) == 0
    captured = capsys.readouterr()
    assert "rule=opzo,seed=0 is trained again: epochs is 3, was 2; the earlier run is now in" in captured.err
    assert len(jobs.trained) == 8
    assert [row["test_loss"] for row in json.loads(captured.out)["runs"]] != [r["test_loss"] for r in first["runs"]]
    kept = json.loads((out / "outdated" / "rule=opzo,seed=0" / "figures.json").read_text())
    assert kept["test_loss"] == first["runs"][0]["test_loss"]


@pytest.mark.parametrize("part", ["train", "test"])
def test_changed_data_are_trained_again_and_said(
    part: str, file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], jobs: type[InProcess], data: Path
) -> None:
    with np.load(data) as loaded:
        arrays = dict(loaded)
    changed, out = tmp_path / "changed.npz", tmp_path / "out"
    file.write_text(file.read_text().replace(str(data), str(changed)).replace('"opzo", "dfa"', '"opzo"'))
    np.savez(changed, **arrays | {f"y_{part}": np.roll(arrays[f"y_{part}"], 1)})
    run(file, out, capsys)
    # One of the runs was stopped on its way.
    (out / "rule=opzo,seed=1" / "figures.json").unlink()
    np.savez(changed, **arrays)
    jobs.fails = "seed=1"
    result = run(file, out, capsys, code=1)
    assert jobs.trained[2:] == ["rule=opzo,seed=0", "rule=opzo,seed=1"]
    (row,) = result["runs"]
    single = tmp_path / "single"
    config = out / "rule=opzo,seed=0" / "config.toml"
    assert main(["train", "--config", str(config), "--out", str(single), "--json", "-q"]) == 0
    assert json.loads(capsys.readouterr().out)["test_accuracy"] == row["test_accuracy"]
    with (out / "results.csv").open() as lines:
        assert len(list(csv.DictReader(lines))) == 1


def test_data_that_change_while_they_are_trained_are_told(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], jobs: type[InProcess], data: Path
) -> None:
    changed = tmp_path / "changed.npz"
    changed.write_bytes(data.read_bytes())
    file.write_text(file.read_text().replace(str(data), str(changed)).replace("0, 1", "0"))

    class Changing(InProcess):
        def run(self, commands: Sequence[Sequence[str]]) -> Generator[tuple[int, int]]:
            for index, code in super().run(commands):
                with np.load(data) as loaded:
                    np.savez(changed, **dict(loaded) | {"y_test": loaded["y_test"][::-1]})
                yield index, code

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sweep, "Jobs", Changing)
        assert main(["sweep", str(file), "--out", str(tmp_path / "out"), "--json", "-q"]) == 1
    captured = capsys.readouterr()
    assert "rule=dfa,seed=0: its data changed during training" in captured.err
    assert [row["rule"] for row in json.loads(captured.out)["runs"]] == ["opzo"]
    assert len(run(file, tmp_path / "out", capsys)["runs"]) == 2


@pytest.mark.slow
def test_a_run_that_is_killed_leaves_the_others_alone(file: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    file.write_text(file.read_text().replace("epochs = 2", "epochs = 60"))
    command = [sys.executable, "-m", "opzo", "sweep", str(file), "--out", str(out), "--jobs", "2", "--json"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    wait_for(lambda: (out / "rule=opzo,seed=0" / "metrics.jsonl").exists(), "a run to begin")
    tasks = Path(f"/proc/{process.pid}/task").glob("*/children")
    children = [number for task in tasks for number in task.read_text().split()]
    named = [n for n in children if b"rule=opzo,seed=0" in Path(f"/proc/{n}/cmdline").read_bytes()]
    os.kill(int(named[0]), signal.SIGKILL)
    stdout, err = process.communicate(timeout=600)
    assert process.returncode == 1
    assert "rule=opzo,seed=0: ended by signal 9, often due to lack of memory" in err
    assert len(json.loads(stdout)["runs"]) == 3


def test_runs_of_another_version_are_trained_again(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], jobs: type[InProcess]
) -> None:
    out = tmp_path / "out"
    file.write_text(file.read_text().replace('"opzo", "dfa"', '"opzo"').replace("0, 1", "0"))
    run(file, out, capsys)
    figures = out / "rule=opzo,seed=0" / "figures.json"
    stored = json.loads(figures.read_text())
    figures.write_text(json.dumps(stored | {"made_by": "opzo 0.0.9, numpy 1.0"}))
    assert main(["sweep", str(file), "--out", str(out), "-q"]) == 0
    assert "it was trained by opzo 0.0.9, numpy 1.0, this is opzo" in capsys.readouterr().err
    assert json.loads(figures.read_text())["made_by"] == stored["made_by"]


def test_two_sweeps_in_one_folder(file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    with locked(out, ""):
        assert main(["sweep", str(file), "--out", str(out), "-q"]) == 2
        assert list(out.iterdir()) == []
    assert f"another sweep is running in {out}; wait for it" in capsys.readouterr().err


def test_names_of_folders_are_valid_and_different(tmp_path: Path, data: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    deep = tmp_path / ("d" * 200)
    deep.mkdir()
    names = [tmp_path / "a" / "b.npz", tmp_path / "a" / "b" / ".npz", tmp_path / "a" / "B.npz", tmp_path / "\u00fc.npz"]
    names += [tmp_path / "\u00f6.npz", deep / "1.npz", deep / "2.npz"]
    for name in names:
        name.write_bytes(data.read_bytes())
    path = tmp_path / "s.toml"
    path.write_text(
        f'[settings]\nnet = "9-6-3"\n[sweep]\ndata = {json.dumps(list(map(str, names)))}\n'
        "kappa = [0.1, 0.10000000000000002]\n"
    )
    folders = [run.folder for run in plan(path, tmp_path / "out")]
    assert len({folder.name.lower() for folder in folders}) == len(names) * 2
    for folder in folders:
        folder.mkdir(parents=True)
        assert folder.parent == tmp_path / "out"


@pytest.mark.parametrize(
    ("made", "message"),
    [("out", "is a file; give the name of a folder"), ("out/seed=0", "is a file"), ("dir", "is a folder")],
)
def test_a_file_in_the_place_of_a_folder(
    made: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, out = tmp_path / "s.toml", tmp_path / "out"
    path.write_text('[settings]\nnet = "64-8-10"\n[sweep]\nseed = [0]\n')
    if made == "dir":
        (out / "results.csv").mkdir(parents=True)
    else:
        (tmp_path / made).parent.mkdir(exist_ok=True)
        (tmp_path / made).touch()
    assert main(["sweep", str(path), "--out", str(out), "-q"]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("value", ["0", "-1", "x", "1e3", "99999999999999999999"])
def test_number_of_jobs(value: str, file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sweep", str(file), f"--jobs={value}"]) == 2
    assert "argument --jobs: " in (err := capsys.readouterr().err)
    assert "in 1..1024" in err


def row(net: str, accuracy: float, rates: int) -> dict[str, Any]:
    figures = {"net": net, "seed": 0, "test_accuracy": accuracy, "cycles_per_train_sample": 12345.6}
    return figures | {f"firing_rate_{layer + 1}": 0.1 for layer in range(rates)}


@pytest.mark.parametrize("width", [40, 60, 80, 120])
def test_table_fits_the_terminal(width: int) -> None:
    rows = [row("a" * 50, 0.5, 3), row("64-8-10", 1.0, 1)]
    lines = sweep_table(groups(rows, ["net"]), ["net"], width)
    assert all(len(line) <= width for line in lines)
    *_, head, first, _ = lines
    assert head.split()[:2] == ["net", "runs"]
    assert ("mean" in head, "firing rates" in head) == (True, width == 120)
    assert "50.00%" in first


def test_groups_by_hand() -> None:
    rows = [{"rule": "a", "seed": n, "test_accuracy": value, "x": n} for n, value in enumerate((0.5, 0.7, 0.9))]
    rows.append({"rule": "b", "seed": 0, "test_accuracy": 0.1, "x": 7})
    first, second = groups(rows, ["rule"])
    assert first == {
        "rule": "a",
        "runs": 3,
        "test_accuracy": 0.7,
        "x": 1,
        "test_accuracy_mean": pytest.approx(0.7),
        "test_accuracy_min": 0.5,
        "test_accuracy_max": 0.9,
    }
    assert (second["runs"], second["x"]) == (1, 7)
