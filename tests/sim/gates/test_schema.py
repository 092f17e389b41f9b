"""JSON that is not that of a netlist, and builds whose files say what no build has: refused in one sentence."""

import copy
import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fuzzing.texts import write_build

from opzo.sim.gates.ecp5 import ECP5Cells
from opzo.sim.gates.folder import CONFIGURATION, NETLISTS, BuildFolder
from opzo.sim.gates.gowin import GowinCells
from opzo.spec.errors import OpzoError
from opzo.system import bounds

Change = Callable[[Any], object]


def verilog(folder: Path) -> str:
    build = BuildFolder(str(folder))
    netlist = build.netlist()
    netlist.pll()
    return netlist.verilog(build.ports(netlist))


def changed(folder: Path, change: Change) -> None:
    path = folder / NETLISTS[False]
    design = json.loads(gzip.decompress(path.read_bytes()))
    change(design["modules"]["opzo"])
    path.write_bytes(gzip.compress(json.dumps(design).encode()))


def test_a_build_becomes_verilog(tmp_path: Path) -> None:
    write_build(tmp_path)
    text = verilog(tmp_path)
    assert text.count("assign") > 3
    assert '.REGSET("SET")' in text


@pytest.mark.parametrize(
    "change",
    [
        lambda module: module.clear(),
        lambda module: module.update(cells=[]),
        lambda module: module["cells"].update(lut=[]),
        lambda module: module["cells"]["lut"].pop("type"),
        lambda module: module["cells"]["lut"].update(type=["LUT4"]),
        lambda module: module["cells"]["lut"].update(attributes=[]),
        lambda module: module["cells"]["lut"]["connections"].update(A=7),
        lambda module: module["cells"]["lut"]["connections"].update(A=[[]]),
        lambda module: module["cells"]["lut"]["connections"].update(A=[True]),
        lambda module: module["cells"]["lut"]["connections"].update(A=[-1]),
        # Verilator compiles what is in $c as C++.
        lambda module: module["cells"]["lut"]["connections"].update(A=['0; initial $c("abort();")']),
        lambda module: module["cells"]["ff"]["parameters"].update(REGSET='SET")); initial $c("abort();'),
        lambda module: module["cells"]["ff"]["parameters"].update(REGSET="\\"),
        lambda module: module["cells"]["ff"]["parameters"].update(REGSET=1.5),
        lambda module: module["cells"]["lut"]["parameters"].update(INIT="12"),
        lambda module: module["cells"]["lut"]["parameters"].update(INIT=10**400),
        lambda module: module["ports"]["rx"].pop("direction"),
        lambda module: module["ports"]["rx"].update(bits=[3, 4]),
        lambda module: module["ports"].update(rx=3),
    ],
)
def test_what_no_tool_writes_is_refused(change: Change, tmp_path: Path) -> None:
    write_build(tmp_path)
    changed(tmp_path, change)
    with pytest.raises(OpzoError, match=r"is damaged; build it again with: opzo build --out "):
        verilog(tmp_path)


@pytest.mark.parametrize("divider", ["0", "2", "-1", "1_0", "10000001", "1" * 400, "x"])
def test_dividers_of_no_pll_are_refused(divider: str, tmp_path: Path) -> None:
    write_build(tmp_path)
    changed(tmp_path, lambda module: module["cells"]["pll"]["parameters"].update(CLKFB_DIV=divider))
    with pytest.raises(OpzoError, match=r"a PLL that divides by '.*', not by 1..128 in binary; build it again"):
        verilog(tmp_path)


def test_names_in_messages_are_printable(tmp_path: Path) -> None:
    write_build(tmp_path)
    changed(tmp_path, lambda module: module["cells"].update({"\x1b[31m": {**module["cells"]["lut"], "type": "\a"}}))
    with pytest.raises(OpzoError, match=r"no model for cell .x07 ") as caught:
        verilog(tmp_path)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    "change",
    [
        {"baud": 0},
        {"baud": float("inf")},
        {"baud": 3e6},
        {"oscillator_mhz": float("nan")},
        {"oscillator_mhz": "25"},
        {"oscillator_mhz": 10**400},
        {"pins": []},
        {"pins": {"rx": {"site": "\n", "inverted": False}}},
        {"pins": {"rx": {"site": "A1", "inverted": "no"}}},
    ],
)
def test_configurations_of_no_board_are_refused(change: dict[str, Any], tmp_path: Path) -> None:
    configuration = json.loads(write_build(tmp_path)[CONFIGURATION])
    pins = copy.deepcopy(configuration["pins"])
    pins = pins | change["pins"] if isinstance(change.get("pins"), dict) else change.get("pins", pins)
    (tmp_path / CONFIGURATION).write_text(json.dumps(configuration | change | {"pins": pins}))
    with pytest.raises(OpzoError, match=r"there is no netlist in .*; build it with: opzo build"):
        verilog(tmp_path)


def test_missing_constraints_are_told(tmp_path: Path) -> None:
    write_build(tmp_path)
    (tmp_path / ECP5Cells.constraints).unlink()
    with pytest.raises(OpzoError, match=r"cannot read .*opzo.lpf: No such file or directory; build it again"):
        verilog(tmp_path)


def test_more_than_memory_is_refused_before_it_is_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_build(tmp_path)
    (tmp_path / NETLISTS[False]).write_bytes(gzip.compress(bytes(1 << 22)))
    monkeypatch.setattr(bounds, "free_memory", lambda: 1 << 24)
    with pytest.raises(OpzoError, match="needs more memory than is available"):
        verilog(tmp_path)


def test_routed_netlists_of_gowin_are_refused(tmp_path: Path) -> None:
    configuration = json.loads(write_build(tmp_path)[CONFIGURATION])
    (tmp_path / CONFIGURATION).write_text(json.dumps(configuration | {"family": "gowin"}))
    with pytest.raises(OpzoError, match=r"routed netlist of a-board cannot be simulated: nextpnr writes"):
        BuildFolder(str(tmp_path / "routed"))


def test_a_netlist_of_gowin_becomes_verilog(tmp_path: Path) -> None:
    """Constants have no cells in Verilog; pins are found by the constraints."""
    contents = write_build(tmp_path)
    (tmp_path / CONFIGURATION).write_text(json.dumps(json.loads(contents[CONFIGURATION]) | {"family": "gowin"}))
    pins = json.loads(contents[CONFIGURATION])["pins"]
    ports = {"clk": (2, "oscillator"), "rx": (3, "rx"), "tx": (4, "tx")}
    ports |= {name: (5 + n, name) for n, name in enumerate(("link", "training", "error"))}
    (tmp_path / GowinCells.constraints).write_text(
        "".join(f'IO_LOC "{port}" {pins[pin]["site"]};\n' for port, (_, pin) in ports.items())
    )
    inputs = ("clk", "rx")
    directions = {port: "input" if port in inputs else "output" for port in ports}
    pll = {"IDIV_SEL": "0", "FBDIV_SEL": "1", "ODIV_SEL": "1000", "DEVICE": "GW2A-18"}
    cells = {
        "gnd": ("GND", {}, {"G": [20]}),
        "vcc": ("VCC", {}, {"V": [21]}),
        "pll": (
            "rPLL",
            pll,
            {"CLKIN": [2], "CLKOUT": [22], "LOCK": [23], "RESET": [20], "RESET_P": [20], "CLKFB": [20]},
        ),
        "and": ("LUT2", {"INIT": "1000"}, {"I0": [3], "I1": [21], "F": [4]}),
        "ff": ("DFFE", {}, {"CLK": [22], "D": [20], "CE": [21], "Q": [5]}),
        "on": ("TBUF", {}, {"I": [21], "OEN": [20], "O": [6]}),
        "off": ("TBUF", {}, {"I": [20], "OEN": [21], "O": [7]}),
    }
    module = {
        "ports": {port: {"direction": directions[port], "bits": [bit]} for port, (bit, _) in ports.items()},
        "cells": {
            name: {"type": kind, "parameters": parameters, "connections": connections}
            for name, (kind, parameters, connections) in cells.items()
        },
    }
    (tmp_path / NETLISTS[False]).write_bytes(gzip.compress(json.dumps({"modules": {"opzo": module}}).encode()))
    text = verilog(tmp_path)
    assert "assign n4 = n3;" in text
    assert "assign pll_clki = n2;" in text
    assert "DFFE c2 (.CLK(n22), .D(1'b0), .CE(1'b1), .Q(n5));" in text
    assert "GND" not in text
    module["cells"]["ff"]["connections"]["CE"] = []
    (tmp_path / NETLISTS[False]).write_bytes(gzip.compress(json.dumps({"modules": {"opzo": module}}).encode()))
    with pytest.raises(OpzoError, match=r"DFFE 'ff': its model knows no CE like this one"):
        verilog(tmp_path)
