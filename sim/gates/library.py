"""Compile a netlist to a shared library, once for each netlist, and cache it."""

import json
import logging
from pathlib import Path

from opzo.sim.compile.cxx import check_executable, load_library
from opzo.sim.compile.verilated import build_verilated, find_toolchain, runtime_objects
from opzo.sim.gates.folder import BuildFolder
from opzo.sim.gates.models import models_verilog
from opzo.system.cache import cache_root, cached, content_hash

logger = logging.getLogger(__name__)

HERE = Path(__file__).parent
HARNESS, PLL = HERE / "harness.cpp", HERE / "pll.h"
OPTIONS = (
    *("-O3", "--x-assign", "fast", "--x-initial", "fast", "--output-split", "20000", "--no-timing"),
    # Takes longer than all other steps together on netlists, and makes their code no faster.
    "-fno-dfg",
)
FLAGS = ("-fvisibility=hidden", f"-I{HERE}")
OPTIMISE = ("-O1",)
LINK = ("-shared",)
RUNTIME = ("verilated", "verilated_threads")
VERILOG, DIVIDERS = "top.v", "pll.json"
LIBRARY = "libnetlist.so"


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
    return build_library((verilog / VERILOG).read_text()), json.loads((verilog / DIVIDERS).read_bytes())


def build_library(verilog: str) -> Path:
    """Library of Verilog whose module ``top`` is that of `Netlist.verilog`."""
    sources = [path.read_bytes() for path in (HARNESS, PLL)]
    key = content_hash(verilog, *sources, OPTIONS, FLAGS, OPTIMISE, LINK, find_toolchain().key)

    def build(work: Path) -> None:
        check_executable(work)
        logger.info("compiling the netlist for simulation; done once, takes a few minutes")
        build_verilated(
            verilog,
            work,
            LIBRARY,
            top="top",
            sources=[HARNESS],
            objects=runtime_objects(cache_root(), RUNTIME),
            options=OPTIONS,
            flags=FLAGS,
            optimise=OPTIMISE,
            link=LINK,
        )
        load_library(work / LIBRARY)

    return cached(cache_root() / f"netlist-{key}", build) / LIBRARY
