"""The command line: results on stdout, everything else on stderr, exit codes, one line for every error."""

import json
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import NET, SMALL, assert_same_weights, error_of, start

import opzo
from opzo.host.cli.main import main
from opzo.host.driver import serial_port
from opzo.host.driver.device import Device
from opzo.host.driver.pty import PtyDevice
from opzo.host.training import health
from opzo.host.training.checkpoint import Checkpoint
from opzo.hw.export import verilog
from opzo.sim.golden.core import GoldenCore
from opzo.sim.model_transport import ModelTransport
from opzo.spec.errors import LinkError
from opzo.spec.limits import Limits
from opzo.spec.network import Network
from opzo.spec.protocol import Identity


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
    facts = json.loads(capsys.readouterr().out)
    # Words of 8 neurons.
    assert (facts["lanes"], facts["hidden_neurons"]) == (8, 8 * facts["words"])
    assert main(["info", str(run)]) == 0
    assert "network: 9-8-3\n" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "--foo"], "there is no option --foo; see opzo train --help"),
        (["train", "--lr", "0.1"], "there is no option --lr (did you mean '--rate'?); see opzo train --help"),
        (["train", "--datta-root=x"], "there is no option --datta-root (did you mean '--data-root'?)"),
        (["train", "--batch-size", "4"], "there is no option --batch-size (did you mean '--batch'?)"),
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
        (["predct"], "there is no 'predct' (did you mean 'predict'?)"),
        (["predict", "r", "d", "--formt", "csv"], "there is no option --formt (did you mean '--format'?)"),
        (["predict", "r", "d", "--format", "cvs"], "there is no 'cvs' (did you mean 'csv'?)"),
        (["train", "--rule", "backprop"], "choose opzo, dfa, zo, readout; see opzo train --help"),
        (["train", "--rate", "300"], "--rate must be in 0..255, not 300"),
        (["train", "--net", "64-10"], "1 to 5 hidden layers"),
        (["train", "--net", "64-0-10"], "neurons of a dense layer must be in"),
        (["train", "--steps", "0"], "steps must be in 1..4095, not 0"),
        (["train", "--steps", "9", "--device", "golden"], "needs 9 time steps; the device has 8; choose fewer steps"),
        (["train", "--net", "65-8-10"], "network 65-8-10 has 65 inputs"),
        (["train", "--net", "64-8-9"], "has label 9; network 64-8-9 has classes 0..8"),
        (["train", "--net", "64-8-70", "--device", "golden"], "needs 70 classes; the device has 64"),
        (["train", "--lanes", "5", "--device", "golden"], "lanes must be a power of two from 4 to 128, not 5"),
        (["train", "--device", "fpga"], "'fpga' is not a device"),
        (["train", "--device", "serial:/dev/ttyUSB77"], "no device at /dev/ttyUSB77; is the board plugged in?"),
        (["train", "--data", "nowhere.npz"], "there is no file nowhere.npz"),
        (["train", "--data", "mnist"], "give --data-root DIR"),
        (["train", "--config", "nowhere.toml"], "cannot read nowhere.toml"),
        (["train", "--resume", "nowhere"], "there is no folder nowhere"),
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


def test_the_port_in_a_checkpoint_is_not_opened(
    run: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint = Checkpoint.load(run / "checkpoint.npz")
    port = "serial:/dev/ttyUSB0@3000000"
    replace(checkpoint, settings=checkpoint.settings | {"device": port}).save(run / "checkpoint.npz")
    monkeypatch.setattr(serial_port, "SerialTransport", lambda *arguments: pytest.fail("the port was opened"))
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
    assert f"the test samples of {copy} have changed since training" in capsys.readouterr().err
    assert main(["eval", str(run), "--data", copy]) == 0
    assert "warning" not in capsys.readouterr().err


def test_lost_link_is_exit_code_1_and_says_how_to_go_on(
    data: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Device.run_stored
    calls: list[int] = []

    def run(self: Device, *arguments: Any, **options: Any) -> Any:
        calls.append(1)
        if len(calls) == 3:
            raise LinkError("golden has stopped answering; check cable and power")
        return real(self, *arguments, **options)

    monkeypatch.setattr(Device, "run_stored", run)
    folder = tmp_path / "r"
    message = error_of(["train", "--data", data, "--out", str(folder), *SMALL], capsys, code=1)
    assert message.endswith(f"resume from the last checkpoint with: opzo train --resume {folder}")
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
        from opzo.host.driver.device import open_device

        with open_device(serial):
            assert "is busy; close the other program" in error_of(["info", "--device", serial], capsys)
    real = Identity.of
    monkeypatch.setattr(Identity, "of", lambda limits, clock_khz=0: _other_version(real(limits, clock_khz)))
    with PtyDevice(ModelTransport(GoldenCore(limits))) as served:
        message = error_of(["info", "--device", f"serial:{served.path}"], capsys)
        assert "speaks protocol version 9, this opzo 5" in message


def _other_version(identity: Identity) -> Identity:
    return replace(identity, version=9)


def mnist_root() -> str:
    """Folder of a tiny MNIST: 28 x 28 frames."""
    import tempfile

    from opzo.host.data.data_sets import MNIST_FILES

    root = Path(tempfile.mkdtemp())
    for name, shape in zip(MNIST_FILES, ((4, 28, 28), (4,), (2, 28, 28), (2,)), strict=True):
        head = bytes((0, 0, 8, len(shape))) + b"".join(size.to_bytes(4, "big") for size in shape)
        (root / name).write_bytes(head + bytes(int(np.prod(shape))))
    return str(root)


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


def test_verilog_is_written_for_the_device_that_holds_the_network(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def write_verilog(limits: Limits, clock_khz: int) -> dict[str, str]:
        return {"core": f"core {limits.lanes}", "top": f"top {limits.rows} {clock_khz}"}

    monkeypatch.setattr(verilog, "write_verilog", write_verilog)
    out = tmp_path / "deep" / "folder"
    assert main(["verilog", "--net", NET, "--lanes", "8", "--out", str(out), "--clock", "62.5"]) == 0
    names = ("opzo_core.v", "opzo_core.core", "opzo_top.v", "opzo_top.core")
    assert capsys.readouterr().out == "".join(f"{out / name}\n" for name in names)
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
    monkeypatch.setattr(health, "MIN_TRAINED", enough)
    monkeypatch.setattr(health, "DEVIATIONS", 100)
    arguments = ["train", "--config", str(run / "config.toml"), "--out", str(run / "r"), "--json", "--epochs", "1"]
    assert main(arguments) == 0
    assert ("not significantly above chance (33.5%) for" in capsys.readouterr().err) == told


def test_verbosity(data: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--data", data, "--out", str(tmp_path / "r"), "-q", *SMALL]) == 0
    assert capsys.readouterr().err == ""


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main(["--help"])
    out = capsys.readouterr().out
    assert all(name in out for name in ("train", "sweep", "eval", "info", "verilog", "simulate"))


def test_help_of_train_has_the_defaults_of_each_data_set(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit, match="0"):
        main(["train", "--help"])
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    table = [line.split() for line in lines[-13:]]
    assert ["digits", "--net", "N-64-64-N", "--mse", "7"] in table
    usual = ["all", "others", "--net", "N-128-128-N", "--alpha", "0.1", "--alpha-end", "0.05", "--contrast", "0"]
    assert usual in table
    assert ["--flip", "1", "--init-rate", "0.1", "--kappa", "5", "--local", "-1", "--shift", "4"] in table


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
    assert "does not state its training data; give --data" in error_of(["eval", path], capsys)
    assert main(["eval", path, "--data", data, "--device", "golden"]) == 0
