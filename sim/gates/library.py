"""Compile a netlist to a shared library, once for each netlist, and cache it."""

import json
from dataclasses import asdict
from pathlib import Path

from opzo.sim.compile.simulation import Simulation
from opzo.sim.gates.family import PllSettings
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
VERILOG, PLL = "top.v", "pll.json"


def board_library(folder: BuildFolder) -> tuple[Path, PllSettings]:
    """Library of a build's netlist behind the board's pins, and how its PLL is set up; OpzoError if it cannot be
    built."""
    sources = [path.read_bytes() for path in sorted(HERE.glob("*.py"))]
    pins = {name: (pin.site, pin.inverted) for name, pin in folder.pins.items()}
    cells = models_verilog(folder.family.name)
    key = content_hash(folder.file.read_bytes(), folder.constraints, pins, cells, *sources)

    def convert(work: Path) -> None:
        netlist = folder.netlist()
        pll, ports = netlist.pll(), folder.ports(netlist)
        (work / VERILOG).write_text(cells + netlist.verilog(ports))
        (work / PLL).write_text(json.dumps(asdict(pll)))

    verilog = cached(cache_root() / f"netlist-verilog-{key}", convert)
    return NETLIST.library((verilog / VERILOG).read_text()), PllSettings(**json.loads((verilog / PLL).read_bytes()))
