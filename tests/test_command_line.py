"""The command line: results on stdout, everything else on stderr, exit codes, one line for every error."""

import errno
import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import opzo
from opzo.host import atomic, health, transport
from opzo.host.checkpoint import Checkpoint
from opzo.host.cli import main
from opzo.host.config import read_toml
from opzo.host.device import Device
from opzo.host.run_folder import RunFolder
from opzo.hw import verilog
from opzo.sim.golden.core import GoldenCore
from opzo.sim.model_transport import ModelTransport
from opzo.sim.pty import PtyDevice
from opzo.spec.errors import LinkError, OpzoError
from opzo.spec.network import Limits, Network
from opzo.spec.protocol import Identity

NET = "9-8-3"
SMALL = ["--device", "golden", "--net", NET, "--lanes", "4", "--epochs", "2"]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> str:
    rng = np.random.default_rng(0)
    labels = np.arange(260) % 3
    pixels = np.clip(np.kron(np.eye(3), np.ones(3))[labels] * 200 + rng.integers(0, 55, (260, 9)), 0, 255)
    path = tmp_path_factory.mktemp("data") / "mine.npz"
    np.savez(path, x_train=pixels[:200], y_train=labels[:200], x_test=pixels[200:], y_test=labels[200:])
    return str(path)


@pytest.fixture(scope="module")
def finished(data: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("finished")
    assert main(["train", "--data", data, "--out", str(folder), "--json", *SMALL]) == 0
    return folder


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    """A finished run."""
    return Path(shutil.copytree(finished, tmp_path / "run"))


def error_of(arguments: list[str], capsys: pytest.CaptureFixture[str], code: int = 2) -> str:
    """The one line of an error; checks that there is nothing else."""
    assert main([*arguments]) == code
    captured = capsys.readouterr()
    lines = [line for line in captured.err.splitlines() if line.startswith("opzo: error: ")]
    assert len(lines) == 1
    assert "Traceback" not in captured.err
    assert captured.err.splitlines()[-1] == lines[0]
    return lines[0]


def assert_same_weights(a: Path, b: Path) -> None:
    first, second = (Checkpoint.load(path / "checkpoint.npz") for path in (a, b))
    for x, y in zip(
        first.state.weights + first.state.feedback, second.state.weights + second.state.feedback, strict=True
    ):
        np.testing.assert_array_equal(x, y)
    np.testing.assert_array_equal(first.state.lfsr, second.state.lfsr)
    assert first.epoch == second.epoch


def test_json_is_one_object_and_nothing_else(data: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--data", data, "--out", str(tmp_path / "r"), "--json", "--seed", "3", *SMALL]) == 0
    figures = json.loads(capsys.readouterr().out)
    assert figures["test_accuracy"] > 0.6
    assert (figures["device"], figures["seed"], figures["network"], figures["rule"]) == ("golden", 3, NET, "opzo")
    assert (figures["epochs"], figures["lanes"], figures["steps"]) == (2, 4, 6)
    assert figures["cycles_per_train_sample"] > figures["cycles_per_test_sample"] > 0
    assert len(figures["firing_rates"]) == 1
    for key in ("train_accuracy", "samples_per_second", "test_loss", "version", "synaptic_operations_per_train_sample"):
        assert figures[key]
    assert json.loads((tmp_path / "r" / "figures.json").read_text()) == figures


def test_run_folder_holds_what_a_run_is(run: Path) -> None:
    names = {"config.toml", "metrics.jsonl", "checkpoint.npz", "learning-curve.png", "figures.json"}
    assert set(os.listdir(run)) == names
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert [row["epoch"] for row in rows] == [1, 2]
    assert rows[1]["test"]["samples"] == 60
    assert (run / "learning-curve.png").read_bytes().startswith(b"\x89PNG")


def test_table_has_a_line_for_each_epoch(data: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--data", data, "--out", str(tmp_path / "r"), *SMALL]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["test", "modelled", "training"]
    assert lines[1].startswith("epoch  train %")
    assert [line.split()[0] for line in lines[2:4]] == ["1", "2"]
    assert lines[4] == f"run folder: {tmp_path / 'r'}"
    assert [line.partition(":")[0] for line in lines[5:8]] == ["epochs", "training accuracy", "test accuracy"]
    assert lines[8].startswith("training sample, engine: ")
    assert lines[8].endswith(" modelled cycles")
    assert lines[9].endswith(" bytes per event (limits)")
    assert max(map(len, lines[:4] + lines[5:])) <= 80


def test_quiet_says_only_results_and_warnings(data: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--data", data, "--out", str(tmp_path / "r"), "--quiet", *SMALL]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    names = [line.partition(":")[0] for line in captured.out.splitlines()]
    assert names[:4] == ["run folder", "epochs", "training accuracy", "test accuracy"]
    assert len(names) == 6


def test_one_name_for_the_version_and_for_each_figure(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    figures = json.loads((run / "figures.json").read_text())
    for arguments in (["eval", str(run)], ["info", str(run)], ["info", "--device", "golden"], ["ports"]):
        assert main([*arguments, "--json"]) == 0
        facts = json.loads(capsys.readouterr().out)
        assert facts["version"] == opzo.__version__ == figures["version"]
        assert "accuracy" not in facts
        assert facts.get("test_accuracy", figures["test_accuracy"]) == figures["test_accuracy"]
        assert facts.get("cycles", "modelled") == "modelled" == figures["cycles"]
    assert main(["eval", str(run), "--set", "train", "--json"]) == 0
    assert "train_accuracy" in json.loads(capsys.readouterr().out)


def test_flags_win_over_the_toml_file(data: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "c.toml"
    config.write_text(f'data = "{data}"\nnet = "9-4-3"\nepochs = 1\ndevice = "golden"\nlanes = 4\nkappa = 4\n')
    assert main(["train", "--config", str(config), "--out", str(tmp_path / "r"), "--json", "--net", "9-5-3"]) == 0
    figures = json.loads(capsys.readouterr().out)
    assert (figures["network"], figures["epochs"]) == ("9-5-3", 1)
    assert "kappa = 4.0" in (tmp_path / "r" / "config.toml").read_text()


def test_configuration_of_a_run_repeats_it(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--config", str(run / "config.toml"), "--out", str(tmp_path / "again"), "--json"]) == 0
    assert_same_weights(run, tmp_path / "again")


def test_network_is_chosen_by_the_data(data: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--data", data, "--device", "golden", "--epochs", "1", "--out", str(tmp_path / "r"), "--json"]
    assert main(["train", *arguments]) == 0
    assert json.loads(capsys.readouterr().out)["network"] == "9-128-128-3"


def test_eval_has_the_accuracy_of_training_on_any_number_of_lanes(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    expected = json.loads((run / "figures.json").read_text())["test_accuracy"]
    for lanes in ("4", "16"):
        assert main(["eval", str(run), "--lanes", lanes, "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["test_accuracy"] == expected
    assert main(["eval", str(run / "checkpoint.npz"), "--set", "train"]) == 0
    assert "200 samples (train set" in capsys.readouterr().out


def test_info_of_device_and_checkpoint(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", "--device", "golden", "--net", NET, "--lanes", "8", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["lanes"] == 8
    assert main(["info", str(run)]) == 0
    assert "network: 9-8-3\n" in capsys.readouterr().out


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


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "--foo"], "there is no option --foo; see opzo train --help"),
        (["train", "--lr", "0.1"], "there is no option --lr (did you mean '--rate'?); see opzo train --help"),
        (["train", "--datta-root=x"], "there is no option --datta-root (did you mean '--data-root'?)"),
        (["train", "--batch-size", "4"], "there is no option --batch-size (samples are learned one at a time"),
        (["train", "64-64-10"], "'64-64-10' is one argument too many; see opzo train --help"),
        (["data", "shwo"], "there is no 'shwo' (did you mean 'show'?)"),
        (["data", "show", "x", "--form"], "there is no option --form; see opzo data show --help"),
        (
            ["eval", "x", "--set", "tset"],
            "there is no 'tset' (did you mean 'test'?); choose from test, train; see opzo eval",
        ),
        (["train", "--rate", "x"], "--rate must be a whole number in 0..255, not 'x'"),
        (["train", "--rate", "0.1"], "it is an integer step size"),
        (["train", "--alpha", "nan"], "--alpha must be in 0..0.999, not nan"),
        (["train", "--epochs", "0"], "--epochs must be in 1..100000, not 0"),
        (["train", "--seed", "-1"], "--seed must be in 0..9223372036854775807, not -1"),
        (
            ["train", "--clock", "0"],
            "argument --clock: the value must be in 0.001..100000, not 0.0; see opzo train --help",
        ),
        (["trian"], "there is no 'trian' (did you mean 'train'?); choose from train, sweep"),
        ([], "required: COMMAND"),
        (["train", "--rule", "backprop"], "choose opzo, dfa, zo, readout; see opzo train --help"),
        (["train", "--rate", "300"], "--rate must be in 0..255, not 300"),
        (["train", "--net", "64-10"], "1 to 3 hidden layers"),
        (["train", "--net", "64-0-10"], "neurons of layer 1 must be in"),
        (["train", "--steps", "0"], "steps must be in 1..4095, not 0"),
        (["train", "--steps", "9", "--device", "golden"], "needs 9 time steps; the device has 8"),
        (["train", "--net", "65-8-10"], "network 65-8-10 has 65 inputs"),
        (["train", "--net", "64-8-9"], "has label 9; network 64-8-9 has classes 0..8"),
        (["train", "--net", "64-8-70", "--device", "golden"], "needs 70 classes; the device has 64"),
        (["train", "--lanes", "5", "--device", "golden"], "lanes must be a power of two from 4 to 128, not 5"),
        (["train", "--device", "fpga"], "'fpga' is not a device"),
        (["train", "--device", "serial:/dev/ttyUSB77"], "no device at /dev/ttyUSB77; is the board plugged in?"),
        (["train", "--data", "nowhere.npz"], "there is no file nowhere.npz"),
        (["train", "--data", "mnist"], "give --data-root DIR"),
        (["train", "--config", "nowhere.toml"], "cannot read nowhere.toml"),
        (["train", "--resume", "nowhere"], "there is no file nowhere"),
        (["eval", "nowhere"], "there is no file nowhere"),
        (
            ["simulate", "--device", "serial:/dev/ttyUSB0"],
            "choose fast, golden, rtl; see opzo simulate --help",
        ),
        (["verilog", "--lanes", "3"], "lanes must be a power of two"),
    ],
)
def test_what_cannot_work_is_one_line_and_exit_code_2(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert message in error_of(arguments, capsys)
    assert not list(tmp_path.iterdir())


def test_unknown_toml_key_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "c.toml").write_text("kapa = 8\n")
    message = error_of(["train", "--config", str(tmp_path / "c.toml")], capsys)
    assert "unknown key 'kapa' (did you mean 'kappa'?) in" in message
    assert "the keys are rule, seed" in message


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
    assert "another process trains in r; wait for it" in err or "r holds a run already" in err
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
    assert "its file system cannot keep two processes apart: give a folder on another one" in message
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
        with pytest.raises(OpzoError, match="another process trains in"), folder.lock():
            pass
    with folder.lock():
        pass


@pytest.mark.parametrize("out", ["file", "file/r", "n" * 300])
def test_output_is_checked_before_the_work(
    out: str, data: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    monkeypatch.setattr("opzo.host.commands.train.configure", lambda values: pytest.fail("the data were read"))
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


def test_the_port_in_a_checkpoint_is_not_opened(
    run: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint = Checkpoint.load(run / "checkpoint.npz")
    port = "serial:/dev/ttyUSB0@3000000"
    replace(checkpoint, settings=checkpoint.settings | {"device": port}).save(run / "checkpoint.npz")
    monkeypatch.setattr(transport, "SerialTransport", lambda *arguments: pytest.fail("the port was opened"))
    for command in (["eval", str(run)], ["stream", str(run), "-"], ["train", "--resume", str(run)]):
        (run / "figures.json").unlink(missing_ok=True)
        message = error_of(command, capsys)
        assert f"was trained on {port}, which is not opened unless you name it: give --device {port}" in message
    assert main(["eval", str(run), "--device", "golden"]) == 0


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"data": "mine.npz"}, "names its data by the relative path 'mine.npz'; give --data"),
        ({"data_root": "../x"}, "names its data by the relative path '../x'; give --data-root"),
        ({"data": "/dev/zero"}, "names /dev/zero, which is not a file, as its data; give --data"),
    ],
)
def test_paths_in_a_checkpoint_lead_to_no_surprise(
    settings: dict[str, str], message: str, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint = Checkpoint.load(run / "checkpoint.npz")
    replace(checkpoint, settings=checkpoint.settings | settings).save(run / "checkpoint.npz")
    assert message in error_of(["eval", str(run)], capsys)
    assert message in error_of(["train", "--resume", str(run)], capsys)


def test_resume_of_a_run_of_another_version_warns(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    checkpoint = Checkpoint.load(run / "checkpoint.npz")
    replace(checkpoint, epoch=1, made_by="opzo 0.0.9, numpy 1.0").save(run / "checkpoint.npz")
    assert main(["train", "--resume", str(run), "--json", "-q"]) == 0
    assert "warning: the run was begun by opzo 0.0.9, numpy 1.0, this is opzo" in capsys.readouterr().err
    assert Checkpoint.load(run / "checkpoint.npz").epoch == 2


def test_eval_says_where_the_data_have_changed(
    run: Path, data: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with np.load(data) as file:
        arrays = dict(file)
    copy = str(tmp_path / "copy.npz")
    np.savez(copy, **arrays | {"y_test": np.roll(arrays["y_test"], 1)})
    checkpoint = Checkpoint.load(run / "checkpoint.npz")
    replace(checkpoint, settings=checkpoint.settings | {"data": copy}).save(run / "checkpoint.npz")
    assert main(["eval", str(run)]) == 0
    assert f"the test samples of {copy} are not those of the training run any more" in capsys.readouterr().err
    assert main(["eval", str(run), "--data", copy]) == 0
    assert "warning" not in capsys.readouterr().err


def test_run_folder_in_use_and_full_disk(
    run: Path, data: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = ["train", "--data", data, *SMALL]
    assert "holds a run already" in error_of([*arguments, "--out", str(run)], capsys)

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


def test_lost_link_is_exit_code_1_and_says_how_to_go_on(
    data: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Device.run
    calls: list[int] = []

    def run(self: Device, *arguments: Any, **options: Any) -> Any:
        calls.append(1)
        if len(calls) == 6:
            raise LinkError("golden has stopped answering; check cable and power")
        return real(self, *arguments, **options)

    monkeypatch.setattr(Device, "run", run)
    folder = tmp_path / "r"
    message = error_of(["train", "--data", data, "--out", str(folder), *SMALL], capsys, code=1)
    assert message.endswith(f"go on from the last checkpoint with: opzo train --resume {folder}")
    monkeypatch.undo()
    assert main(["train", "--resume", str(folder), "--json"]) == 0


def test_device_of_another_version_busy_or_too_small(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    limits = Network((9, 4, 3)).limits(4)
    with PtyDevice(ModelTransport(GoldenCore(limits))) as served:
        serial = f"serial:{served.path}"
        assert "needs 784 inputs; the device has 256" in error_of(
            ["train", "--device", serial, "--net", "784-8-10", "--data", "mnist", "--data-root", mnist_root()], capsys
        )
        from opzo.host.device import open_device

        with open_device(serial):
            assert "is busy; close the other program" in error_of(["info", "--device", serial], capsys)
    real = Identity.of
    monkeypatch.setattr(Identity, "of", lambda limits, clock_khz=0: _other_version(real(limits, clock_khz)))
    with PtyDevice(ModelTransport(GoldenCore(limits))) as served:
        message = error_of(["info", "--device", f"serial:{served.path}"], capsys)
        assert "speaks protocol version 9, this opzo 3" in message


def _other_version(identity: Identity) -> Identity:
    from dataclasses import replace

    return replace(identity, version=9)


def mnist_root() -> str:
    """Folder of a tiny MNIST: 28 x 28 frames."""
    import tempfile

    from opzo.host.data import MNIST_FILES

    root = Path(tempfile.mkdtemp())
    for name, shape in zip(MNIST_FILES, ((4, 28, 28), (4,), (2, 28, 28), (2,)), strict=True):
        head = bytes((0, 0, 8, len(shape))) + b"".join(size.to_bytes(4, "big") for size in shape)
        (root / name).write_bytes(head + bytes(int(np.prod(shape))))
    return str(root)


def start(arguments: list[str], cwd: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "opzo", *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=cwd)


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
    assert f"go on with: opzo train --resume {folder}" in err
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


def test_simulated_device_trains_like_the_one_in_process(data: str, tmp_path: Path, run: Path) -> None:
    process = start(["simulate", "--pty", "port", "--device", "golden", "--net", NET, "--lanes", "4"], tmp_path)
    assert process.stdout is not None
    assert process.stdout.readline() == "serial:port\n"
    folder = tmp_path / "over-serial"
    arguments = ["--data", data, "--net", NET, "--epochs", "2", "--device", f"serial:{tmp_path / 'port'}"]
    assert main(["train", "--out", str(folder), "--json", *arguments]) == 0
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 0
    assert not (tmp_path / "port").exists()
    assert_same_weights(folder, run)


def test_reader_that_goes_away_ends_it_as_ctrl_c_does(data: str, tmp_path: Path) -> None:
    process = start(["train", "--data", data, "--out", str(tmp_path / "r"), *LONG], tmp_path)
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    assert "Traceback" not in process.stderr.read()
    assert process.wait(60) == 130


def test_verilog_is_written_for_the_device_that_holds_the_network(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def write_verilog(limits: Limits, clock_khz: int) -> dict[str, str]:
        return {"core": f"core {limits.lanes}", "top": f"top {limits.rows} {clock_khz}"}

    monkeypatch.setattr(verilog, "write_verilog", write_verilog)
    out = tmp_path / "deep" / "folder"
    assert main(["verilog", "--net", NET, "--lanes", "8", "--out", str(out), "--clock", "62.5"]) == 0
    assert capsys.readouterr().out == f"{out / 'opzo_core.v'}\n{out / 'opzo_top.v'}\n"
    assert (out / "opzo_core.v").read_text() == "core 8"
    assert (out / "opzo_top.v").read_text() == "top 1024 62500"


def test_bug_shows_its_traceback(monkeypatch: pytest.MonkeyPatch, data: str, tmp_path: Path) -> None:
    def broken(self: Device) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(Device, "counters", broken)
    with pytest.raises(ZeroDivisionError):
        main(["train", "--data", data, "--out", str(tmp_path / "r"), *SMALL])


@pytest.mark.parametrize(("enough", "told"), [(200, True), (201, False)])
def test_accuracy_that_is_not_above_chance_is_told(
    enough: int, told: bool, run: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "ENOUGH", enough)
    monkeypatch.setattr(health, "DEVIATIONS", 100)
    arguments = ["train", "--config", str(run / "config.toml"), "--out", str(run / "r"), "--json", "--epochs", "1"]
    assert main(arguments) == 0
    assert ("samples cannot tell from chance (33.5%): " in capsys.readouterr().err) == told


def test_verbosity(data: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--data", data, "--out", str(tmp_path / "r"), "-q", *SMALL]) == 0
    assert capsys.readouterr().err == ""


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main(["--help"])
    out = capsys.readouterr().out
    assert all(name in out for name in ("train", "sweep", "eval", "info", "verilog", "simulate"))


def test_verbose_tells_the_registers_of_the_schedules(
    data: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", "--data", data, "--out", str(tmp_path / "r"), "--verbose", *SMALL]) == 0
    lines = [line for line in capsys.readouterr().err.splitlines() if ": registers " in line]
    assert lines[0].startswith("opzo: epoch 1, sample 0: registers ")
    assert "RATE 140" in lines[0]
    assert lines[-1].startswith("opzo: epoch 2, ")


def test_eval_of_a_checkpoint_that_names_no_data_asks_for_it(
    run: Path, data: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint = Checkpoint.load(run / "checkpoint.npz")
    path = str(tmp_path / "model.npz")
    replace(checkpoint, settings={}).save(Path(path))
    assert "does not say what it was trained on; give --data" in error_of(["eval", path], capsys)
    assert main(["eval", path, "--data", data, "--device", "golden"]) == 0
