"""opzo verilog --inference: files, messages, and the core's folder as a device."""

import json
from pathlib import Path

import numpy as np
import pytest
from command_line import error_of

from opzo.host.cli.main import main
from opzo.host.driver.device import open_device
from opzo.host.training.checkpoint import Checkpoint
from opzo.hw.export.inference import file_names
from opzo.spec.errors import OpzoError
from opzo.spec.fixed_network import FixedNetwork

OPTIONS = ["verilog", "--out", "core", "--inference"]
FILES = ["opzo_core.v", "opzo_top.v", "opzo_weights_0_0.hex", "opzo_weights_1_0.hex"]


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_files_of_a_run(run: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def written(fixed: FixedNetwork, clock_khz: int) -> dict[str, str]:
        assert clock_khz == 0
        return dict.fromkeys(file_names(fixed.limits), f"{fixed.rows.tolist()}")

    # Converted in tests/hw/export/test_inference.py.
    monkeypatch.setattr("opzo.hw.export.inference.write_inference", written)
    assert main([*OPTIONS, str(run), "--weight-bits", "12", "--json"]) == 0
    captured = capsys.readouterr()
    facts = json.loads(captured.out)
    assert facts["files"] == [f"core/{name}" for name in FILES]
    network = Checkpoint.load(run / "checkpoint.npz").network
    assert (facts["network"], facts["lanes"], facts["weight_bits"], facts["learning"]) == (str(network), 4, 12, False)
    assert f"opzo eval {run} --device verilog:core tests it in simulation" in captured.err
    rows = np.array(json.loads(Path("core/opzo_top.v").read_text()))
    assert rows.any()
    assert not (rows & 3).any()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--net", "9-8-3"], "the network is that of run; leave --net out"),
        (["--steps", "3", "--local", "1"], "leave --local, --steps out"),
        (["--testbench"], "the testbench trains the core, and this one only infers; leave --testbench out"),
        (["--lanes", "5"], "lanes must be a power of two from 4 to 128, not 5"),
        (["--out", "run/config.toml"], "config.toml is a file; give the name of a folder"),
    ],
)
def test_what_does_not_go_together(
    arguments: list[str], message: str, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert message in error_of([*OPTIONS, "run", *arguments], capsys)
    assert not Path("core").exists()


def test_a_run_that_does_not_exist(capsys: pytest.CaptureFixture[str]) -> None:
    assert "there is no file absent" in error_of([*OPTIONS, "absent"], capsys)


def test_folders_that_hold_no_core(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "cannot read run/opzo_top.v: No such file" in error_of(["info", "--device", "verilog:run"], capsys)
    for head in (
        "module opzo_top (",
        "// opzo_top of opzo 1: 4 lanes",
        "// opzo_top of opzo 1: 5 lanes, 9 rows, 9 inputs",
    ):
        Path("run/opzo_top.v").write_text(f"{head}\nmodule opzo_top (\n")
        message = error_of(["info", "--device", "verilog:run"], capsys)
        assert "the first line of run/opzo_top.v is not that of a chip" in message
    Path("run/opzo_top.v").write_bytes(b"\xff\xfe")
    with pytest.raises(OpzoError, match="it is no text"):
        open_device("verilog:run")
    head = "// opzo_top of opzo 0.1.0: 4 lanes, 9 rows, 9 inputs, 8 words, 3 classes, inference only"
    Path("run/opzo_top.v").write_text(f'{head}\nmodule opzo_top (\n  initial $readmemh("w.hex", bank_0, 0, 2);\n')
    with pytest.raises(OpzoError, match=r"cannot read .*w\.hex"):
        open_device("verilog:run")
    for words in ("00 11", "00 11 zz", "00 11 22 33"):
        Path("run/w.hex").write_text(words)
        with pytest.raises(OpzoError, match=r"w\.hex does not have 3 hexadecimal words"):
            open_device("verilog:run")
