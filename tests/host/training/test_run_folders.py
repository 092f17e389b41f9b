"""Run folders: who may use them, what is in them, how stopped and killed runs go on."""

import errno
import fcntl
import json
import os
import signal
import subprocess
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import NET, SMALL, assert_same_weights, error_of, start

from opzo.host.cli.main import main
from opzo.host.training.checkpoint import Checkpoint
from opzo.host.training.config import read_toml
from opzo.host.training.run_folder import RunFolder
from opzo.spec.errors import OpzoError
from opzo.system import atomic


def test_run_folder_holds_what_a_run_is(run: Path) -> None:
    names = {"config.toml", "metrics.jsonl", "metrics.csv", "checkpoint.npz", "learning-curve.png", "figures.json"}
    assert set(os.listdir(run)) == names
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert [row["epoch"] for row in rows] == [1, 2]
    assert rows[1]["test"]["samples"] == 60
    assert (run / "learning-curve.png").read_bytes().startswith(b"\x89PNG")


def test_configuration_of_a_run_repeats_it(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--config", str(run / "config.toml"), "--out", str(tmp_path / "again"), "--json"]) == 0
    assert_same_weights(run, tmp_path / "again")


@pytest.mark.parametrize("stored", ["whole", "missing", '{"test_accuracy": "x"}', "[", "[1]"])
def test_resume_of_a_finished_run_says_so_and_the_same_again(
    stored: str, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    figures = run / "figures.json"
    before = json.loads(figures.read_text())
    if stored == "missing":
        figures.unlink()
    elif stored != "whole":
        figures.write_text(stored)
    assert main(["train", "--resume", str(run), "--json"]) == 0
    captured = capsys.readouterr()
    assert f"nothing is left to do in {run}: all 2 epochs are trained" in captured.err
    after = json.loads(captured.out)
    same = set(before) - {"seconds", "run_folder"}
    assert {key: after[key] for key in same} == {key: before[key] for key in same}


def test_resume_refuses_other_settings(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    message = error_of(["train", "--resume", str(run), "--epochs", "9", "--out", "x"], capsys)
    assert "leave --epochs, --out out" in message


@pytest.mark.parametrize("part", ["x_train", "y_train", "x_test", "y_test"])
def test_resume_refuses_other_data(
    part: str, data: str, tmp_path: Path, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with np.load(data) as file:
        arrays = dict(file)
    copy = str(tmp_path / "copy.npz")
    np.savez(copy, **arrays | {part: arrays[part][::-1]})
    checkpoint = Checkpoint.load(run / "checkpoint.npz")
    replace(checkpoint, settings=checkpoint.settings | {"data": copy}).save(run / "checkpoint.npz")
    kind = "training" if "train" in part else "test"
    message = error_of(["train", "--resume", str(run)], capsys)
    assert f"copy.npz is not the data that {run} was trained on (the {kind} samples differ)" in message


def test_runs_begun_at_one_time_have_folders_of_their_own(data: str, tmp_path: Path) -> None:
    processes = [start(["train", "--data", data, "--json", "-q", *SMALL, "--kappa", k], tmp_path) for k in "123"]
    figures = [json.loads(process.communicate(timeout=120)[0]) for process in processes]
    assert len({figure["run_folder"] for figure in figures}) == 3
    for kappa, figure in zip((1.0, 2.0, 3.0), figures, strict=True):
        folder = tmp_path / figure["run_folder"]
        settings = Checkpoint.load(folder / "checkpoint.npz").settings
        assert settings["kappa"] == read_toml(folder / "config.toml")["kappa"] == kappa
        assert json.loads((folder / "figures.json").read_text()) == figure


def test_of_two_processes_in_one_folder_one_trains_and_the_other_loses_nothing(data: str, tmp_path: Path) -> None:
    command = ["train", "--data", data, "--json", "-q", "--out", "r", *SMALL, "--kappa"]
    processes = [start([*command, kappa], tmp_path) for kappa in ("1", "2")]
    ended = [(*process.communicate(timeout=120), process.returncode) for process in processes]
    winner = 0 if ended[0][2] == 0 else 1
    _, err, code = ended[1 - winner]
    assert (ended[winner][2], code) == (0, 2)
    assert "another process is training in r; wait for it" in err or "r already holds a run" in err
    settings = Checkpoint.load(tmp_path / "r" / "checkpoint.npz").settings
    assert settings["kappa"] == read_toml(tmp_path / "r" / "config.toml")["kappa"] == winner + 1
    assert [path.name for path in tmp_path.iterdir()] == ["r"]


def test_what_a_killed_process_left_is_removed_at_the_next_start(
    run: Path, data: str, capsys: pytest.CaptureFixture[str]
) -> None:
    gone = subprocess.Popen(["true"])
    gone.wait()
    left = [run / f".{name}.{gone.pid}.tmp" for name in ("checkpoint.npz", "config.toml", "metrics.jsonl")]
    kept = [run / f".mine.npz.{gone.pid}.tmp", run / f".checkpoint.npz.{os.getppid()}.tmp", run / "checkpoint.npz.tmp"]
    for path in (*left, *kept):
        path.touch()
    with RunFolder(run).lock():
        pass
    assert not any(path.exists() for path in left)
    assert all(path.exists() for path in kept)


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP])
def test_file_system_without_locks_is_one_line(
    number: int, data: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def flock(descriptor: int, operation: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", flock)
    message = error_of(["train", "--data", data, "--out", str(tmp_path / "r"), *SMALL], capsys)
    assert "its file system does not support locks: give a folder on another file system" in message
    assert list(tmp_path.iterdir()) == []


def test_folders_that_cannot_be_locked_themselves_have_a_lock_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = fcntl.flock

    def flock(descriptor: int, operation: int) -> None:
        # As NFS does with what is not open for writing.
        if fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        real(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", flock)
    folder = RunFolder(tmp_path / "r")
    with folder.lock():
        with pytest.raises(OpzoError, match="another process is training in"), folder.lock():
            pass
    with folder.lock():
        pass


@pytest.mark.parametrize("out", ["file", "file/r", "n" * 300])
def test_output_is_checked_before_the_work(
    out: str, data: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    monkeypatch.setattr("opzo.host.cli.commands.train.configure", lambda values: pytest.fail("the data were read"))
    assert "give" in error_of(["train", "--data", data, "--out", out, *SMALL], capsys)


def test_a_run_killed_before_its_first_checkpoint_is_begun_again(
    run: Path, finished: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for path in run.iterdir():
        if path.name != "config.toml":
            path.unlink()
    assert main(["train", "--resume", str(run), "--json"]) == 0
    capsys.readouterr()
    assert_same_weights(run, finished)
    (run / "checkpoint.npz").unlink()
    assert "holds metrics.jsonl of another run" in error_of(["train", "--resume", str(run)], capsys)


def test_a_run_with_final_figures_has_all_its_files(
    data: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # A sweep does not resume it, so what comes after them would never be written if it is killed there.
    def killed(folder: RunFolder, figures: dict[str, Any]) -> None:
        assert {path.name for path in folder.path.iterdir()} == {
            *("config.toml", "checkpoint.npz", "metrics.jsonl", "metrics.csv", "learning-curve.png")
        }
        raise KeyboardInterrupt

    monkeypatch.setattr(RunFolder, "write_figures", killed)
    assert main(["train", "--data", data, "--out", str(tmp_path / "r"), "--json", *SMALL]) == 130


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda rows: [{"epoch": 1}, rows[1]], "line 1 of"),
        (lambda rows: [rows[0], rows[0]], "line 2 of"),
        (lambda rows: [rows[0], rows[1] | {"train": {}}], "line 2 of"),
        (lambda rows: [rows[0] | {"test": rows[0]["test"] | {"accuracy": None}}, rows[1]], "line 1 of"),
        (lambda rows: [rows[0] | {"test": rows[0]["test"] | {"firing_rates": [0, 0]}}, rows[1]], "line 1 of"),
        (lambda rows: [[1]], "cannot read"),
        (lambda rows: ["\x1b[2J"], "cannot read"),
    ],
)
def test_metrics_that_are_not_of_the_run_are_named(
    change: Any, message: str, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (run / "figures.json").unlink()
    metrics = run / "metrics.jsonl"
    rows = [json.loads(line) for line in metrics.read_text().splitlines()]
    metrics.write_text("".join(json.dumps(row) + "\n" for row in change(rows)))
    said = error_of(["train", "--resume", str(run)], capsys)
    assert message in said
    assert "remove" in said
    # Without the first lines, as where it was removed before.
    metrics.write_text(json.dumps(rows[1]) + "\n")
    assert main(["train", "--resume", str(run), "--json"]) == 0


def test_resume_of_a_run_of_another_version_warns(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    checkpoint = Checkpoint.load(run / "checkpoint.npz")
    replace(checkpoint, epoch=1, made_by="opzo 0.0.9, numpy 1.0").save(run / "checkpoint.npz")
    assert main(["train", "--resume", str(run), "--json", "-q"]) == 0
    assert "warning: the run was started by opzo 0.0.9, numpy 1.0, this is opzo" in capsys.readouterr().err
    assert Checkpoint.load(run / "checkpoint.npz").epoch == 2


def test_run_folder_in_use_and_full_disk(
    run: Path, data: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = ["train", "--data", data, *SMALL]
    assert "already holds a run" in error_of([*arguments, "--out", str(run)], capsys)

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(atomic.os, "fsync", full)
    # As if it had been stopped before it wrote its final figures.
    (run / "figures.json").unlink()
    before = (run / "checkpoint.npz").read_bytes()
    assert "No space left on device" in error_of([*arguments, "--out", str(tmp_path / "r")], capsys)
    assert not (tmp_path / "r").exists()
    assert "No space left on device" in error_of(["train", "--resume", str(run)], capsys)
    assert (run / "checkpoint.npz").read_bytes() == before


def wait_for_epoch(folder: Path) -> None:
    """Wait until a run has completed its first epoch."""
    end = time.monotonic() + 60
    while not (folder / "metrics.jsonl").exists():
        assert time.monotonic() < end
        time.sleep(0.02)


LONG = ["--device", "golden", "--net", NET, "--lanes", "4", "--epochs", "8"]


@pytest.fixture(scope="module")
def undisturbed(data: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("undisturbed")
    assert main(["train", "--data", data, "--out", str(folder), "--json", *LONG]) == 0
    return folder


def test_ctrl_c_saves_and_says_how_to_resume(data: str, tmp_path: Path, undisturbed: Path) -> None:
    folder = tmp_path / "stopped"
    process = start(["train", "--data", data, "--out", str(folder), "--json", *LONG], tmp_path)
    wait_for_epoch(folder)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert out == ""
    assert f"resume with: opzo train --resume {folder}" in err
    assert "Traceback" not in err
    assert Checkpoint.load(folder / "checkpoint.npz").epoch < 8
    assert main(["train", "--resume", str(folder), "--json"]) == 0
    assert_same_weights(folder, undisturbed)
    assert len((folder / "metrics.jsonl").read_text().splitlines()) == 8


def test_killed_run_goes_on_from_its_last_checkpoint(data: str, tmp_path: Path, undisturbed: Path) -> None:
    folder = tmp_path / "killed"
    arguments = ["train", "--data", data, "--out", str(folder), "--checkpoint-every", "64", *LONG]
    process = start(arguments, tmp_path)
    wait_for_epoch(folder)
    process.kill()
    process.communicate(timeout=60)
    assert main(["train", "--resume", str(folder), "--json"]) == 0
    assert_same_weights(folder, undisturbed)
    rows = [json.loads(line)["epoch"] for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert rows == list(range(1, 9))


@pytest.mark.parametrize("kills", [3, pytest.param(25, marks=pytest.mark.slow)])
def test_run_killed_at_any_moment_ends_as_if_it_had_not_been(
    kills: int, data: str, tmp_path: Path, undisturbed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    seed = int.from_bytes(os.urandom(2))
    print("seed", seed)
    rng, folder = np.random.default_rng(seed), tmp_path / "killed"
    fresh = ["train", "--data", data, "--out", str(folder), "--checkpoint-every", "64", *LONG]
    for _ in range(kills):
        again = ["train", "--resume", str(folder)] if (folder / "config.toml").exists() else fresh
        process = start(again, tmp_path)
        with suppress(subprocess.TimeoutExpired):
            process.wait(rng.uniform(0.2, 3))
        process.kill()
        process.communicate(timeout=60)
    if (folder / "config.toml").exists():
        assert main(["train", "--resume", str(folder), "--json"]) == 0
    else:
        assert main([*fresh, "--json"]) == 0
    assert_same_weights(folder, undisturbed)
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    before = [json.loads(line) for line in (undisturbed / "metrics.jsonl").read_text().splitlines()]
    assert [row["epoch"] for row in rows] == list(range(1, 9))
    assert [row["test"]["loss"] for row in rows] == [row["test"]["loss"] for row in before]
    assert not list(folder.glob(".*"))


def test_reader_that_goes_away_ends_it_as_ctrl_c_does(data: str, tmp_path: Path) -> None:
    process = start(["train", "--data", data, "--out", str(tmp_path / "r"), *LONG], tmp_path)
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    assert "Traceback" not in process.stderr.read()
    assert process.wait(60) == 130
