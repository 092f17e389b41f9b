"""Chips behind buses as FuseSoC sees them: the files of ``opzo verilog --bus``, and Verilator's lint through them."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from opzo.host.cli.main import main
from opzo.hw.export.verilog import BUSES
from opzo.sim.compile.verilated import find_toolchain

FAULTY = "module opzo_axi(input clk, output q);\n  assign q = missing;\nendmodule\n"
GOOD = FAULTY.replace("missing", "clk")


def fusesoc(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run FuseSoC in a folder, with the Verilator that opzo uses."""
    root = find_toolchain().root
    tools = folder / "tools"
    tools.mkdir(exist_ok=True)
    verilator = tools / "verilator"
    verilator.write_text(f'#!/bin/sh\nVERILATOR_ROOT={root} exec {root}/bin/verilator_bin "$@"\n')
    verilator.chmod(0o755)
    command = [str(Path(sys.executable).with_name("fusesoc")), "--cores-root", ".", *arguments]
    path = os.pathsep.join((str(tools), os.environ["PATH"]))
    # What FuseSoC keeps for a user is not of interest.
    environment = os.environ | {"PATH": path, "HOME": str(folder), "XDG_CONFIG_HOME": str(folder / "config")}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=600)


@pytest.mark.parametrize(("text", "passes"), [(GOOD, True), (FAULTY, False)])
def test_lint_target_reads_the_verilog_beside_the_core_file(
    text: str, passes: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("opzo.hw.export.verilog.bus_verilog", lambda bus, limits, clock_khz: text)
    assert main(["verilog", "--bus", "axi", "--net", "9-5-2", "--lanes", "4", "--out", str(tmp_path)]) == 0
    assert capsys.readouterr().out == "".join(f"{tmp_path / name}\n" for name in ("opzo_axi.v", "opzo_axi.core"))
    shown = fusesoc(tmp_path, "core", "show", "opzo_axi")
    assert shown.returncode == 0, shown.stderr
    assert re.search(r"^Description: opzo for network 9-5-2, 4 lanes$", shown.stdout, re.MULTILINE)
    linted = fusesoc(tmp_path, "run", "--target", "lint", "opzo_axi")
    assert (linted.returncode == 0) is passes, linted.stdout + linted.stderr
    assert ("missing" in linted.stdout + linted.stderr) is not passes


def test_testbench_is_not_for_a_bus(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verilog", "--bus", "axi", "--testbench"]) == 2
    assert "--testbench and --inference are for the core, without --bus" in capsys.readouterr().err


PORTS = {
    "stream": "aclk aresetn s_axis_tdata s_axis_tvalid s_axis_tready m_axis_tdata m_axis_tvalid m_axis_tready busy",
    "axi": "aclk aresetn s_axi_awaddr s_axi_awprot s_axi_awvalid s_axi_awready s_axi_wdata s_axi_wstrb s_axi_wvalid "
    "s_axi_wready s_axi_bresp s_axi_bvalid s_axi_bready s_axi_araddr s_axi_arprot s_axi_arvalid s_axi_arready "
    "s_axi_rdata s_axi_rresp s_axi_rvalid s_axi_rready s_axis_tdata s_axis_tlast s_axis_tvalid s_axis_tready "
    "m_axis_tdata m_axis_tlast m_axis_tvalid m_axis_tready interrupt",
    "wishbone": "wb_clk_i wb_rst_i wb_adr_i wb_dat_i wb_dat_o wb_sel_i wb_we_i wb_stb_i wb_cyc_i wb_ack_o wb_err_o "
    "interrupt_o",
}


@pytest.mark.slow
@pytest.mark.parametrize("bus", BUSES)
def test_exported_chip_has_the_ports_of_its_bus_and_passes_lint(bus: str, tmp_path: Path) -> None:
    assert main(["verilog", "--bus", bus, "--net", "9-5-2", "--lanes", "4", "--out", str(tmp_path)]) == 0
    text = (tmp_path / f"opzo_{bus}.v").read_text()
    header = re.search(rf"^module opzo_{bus} \((.*?)\);", text, re.MULTILINE | re.DOTALL)
    assert header is not None
    assert header[1].replace(",", "").split() == PORTS[bus].split()
    linted = fusesoc(tmp_path, "run", "--target", "lint", f"opzo_{bus}")
    assert linted.returncode == 0, linted.stdout + linted.stderr
