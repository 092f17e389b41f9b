"""Shared library of a simulated design behind a harness in C++, compiled once and cached."""

import logging
from dataclasses import dataclass
from pathlib import Path

from opzo.sim.compile.cxx import check_executable, load_library
from opzo.sim.compile.verilated import build_verilated, find_toolchain, runtime_objects
from opzo.system.cache import cache_root, cached, content_hash

logger = logging.getLogger(__name__)

OPTIONS = ("-O3", "--x-assign", "fast", "--x-initial", "fast", "--output-split", "20000")
LINK = ("-shared",)
LIBRARY = "libsimulation.so"


@dataclass(frozen=True)
class Simulation:
    """How a kind of design is compiled; its module is named ``top``.

    Parameters
    ----------
    name : str
        Begins the names of its libraries in the cache.
    message : str
        What a user reads when a compilation begins.
    harness : Path
        C++ source with the functions of the library; includes ``Vtop.h``.
    includes : tuple of Path
        Files that the harness includes, besides those of Verilator.
    options, flags, optimise : tuples of str
        Options for Verilator, the compiler, and the compiler on code that runs every cycle, besides those of all
        simulations.
    runtime, runtime_flags : tuples of str
        Parts of Verilator's runtime, and options of the compiler on them.
    """

    name: str
    message: str
    harness: Path
    includes: tuple[Path, ...]
    options: tuple[str, ...]
    flags: tuple[str, ...]
    optimise: tuple[str, ...]
    runtime: tuple[str, ...] = ("verilated", "verilated_threads")
    runtime_flags: tuple[str, ...] = ()

    def library(self, verilog: str) -> Path:
        """Library of a design; OpzoError if it cannot be built (a tool is missing, the disk is full)."""
        sources = [path.read_bytes() for path in (self.harness, *self.includes)]
        options = (*OPTIONS, *self.options)
        flags = ("-fvisibility=hidden", *self.flags)
        key = content_hash(verilog, *sources, options, flags, self.optimise, LINK, find_toolchain().key)

        def build(work: Path) -> None:
            check_executable(work)
            logger.info(self.message)
            build_verilated(
                verilog,
                work,
                LIBRARY,
                top="top",
                sources=[self.harness],
                objects=runtime_objects(cache_root(), self.runtime, self.runtime_flags),
                options=options,
                flags=flags,
                optimise=self.optimise,
                link=LINK,
            )
            load_library(work / LIBRARY)

        return cached(cache_root() / f"{self.name}-{key}", build) / LIBRARY
