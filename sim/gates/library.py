"""Compile a netlist to a shared library, once for each netlist, and cache it."""

import json
from pathlib import Path

from opzo.sim.compile.simulation import Simulation
from opzo.sim.gates.folder import BuildFolder
from opzo.sim.gates.models import models_verilog
from opzo.system.cache import cache_root, cached, content_hash

HERE = Path(__file__).parent
NETLIST = Simulation(
    "netlist",
    "compiling the netlist for simulation; done once, takes a few minutes",
    HERE / "harness.cpp",
    (HERE / "pll.h",),
    # The graph optimisation takes longer than all other steps together on netlists, and makes their code no faster.
    ("--no-timing", "-fno-dfg"),
    (f"-I{HERE}",),
    ("-O1",),
)
VERILOG, DIVIDERS = "top.v", "pll.json"


def board_library(folder: BuildFolder) -> tuple[Path, dict[str, int]]:
    """Library of a build's netlist behind the board's pins, and the dividers of its PLL; OpzoError if it cannot be
    built."""
    sources = [path.read_bytes() for path in sorted(HERE.glob("*.py"))]
    pins = {name: (pin.site, pin.inverted) for name, pin in folder.pins.items()}
    key = content_hash(folder.file.read_bytes(), folder.constraints, pins, models_verilog(), *sources)

    def convert(work: Path) -> None:
        netlist = folder.netlist()
        dividers, ports = netlist.dividers(), folder.ports(netlist)
        (work / VERILOG).write_text(models_verilog() + netlist.verilog(ports))
        (work / DIVIDERS).write_text(json.dumps(dividers))

    verilog = cached(cache_root() / f"netlist-verilog-{key}", convert)
    return NETLIST.library((verilog / VERILOG).read_text()), json.loads((verilog / DIVIDERS).read_bytes())
