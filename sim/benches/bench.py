"""Run a cocotb testbench on an Amaranth component compiled by Verilator.

A pytest test calls `run_bench`; the testbench calls `parameters`, `seed` and `start` in the simulator's process.
"""

import json
import os
import re
import shutil
import tempfile
from collections.abc import Sequence
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from opzo.sim.compile.cxx import BuildError
from opzo.sim.compile.verilated import build_verilated, find_toolchain, precompiled_header, runtime_objects
from opzo.system.cache import cache_root, cached, content_hash

if TYPE_CHECKING:
    from amaranth.lib.wiring import Component

TOP = "top"
DEFAULT_SEED = 1
LOG_LINES = 60
"""Number of last lines of the testbench's log shown with a failure."""


def run_bench(
    component: "Component[Any]",
    *,
    name: str,
    test_module: str,
    parameters: dict[str, object] | None = None,
    seed: int | None = None,
    testcase: str | Sequence[str] | None = None,
    public: Sequence[str] = (),
    models: Sequence[Path] = (),
) -> None:
    """Convert ``component`` to Verilog, compile it and run the cocotb tests of ``test_module`` on it.

    Builds are cached by content under ``sim_build/`` of the repository (under ``$OPZO_CACHE`` if that is set). Raises
    AssertionError, with the seed and the end of the log, if a test fails. If ``$OPZO_WAVES`` is set, all signals are
    written to ``sim_build/NAME.vcd``, whether or not a test fails.

    Parameters
    ----------
    name : str
        Name of the build's folder.
    parameters : dict or None
        Value returned by `parameters` in the testbench; must be preserved by JSON.
    seed : int or None
        Value returned by `seed` in the testbench; None: ``$OPZO_SEED``, else 1.
    testcase : str, sequence of str or None
        Run only these tests of the module; None: all.
    public : sequence of str
        Names of internal signals and memories, in any module, that the testbench accesses besides the ports; ``*``
        stands for any characters. Each costs time: what nobody sees is optimised away.
    models : sequence of Path
        Verilog of modules that ``component`` instantiates: models of a vendor's primitives.
    """
    # Imported here, because the testbench also imports this module and needs neither.
    from opzo.hw.export.convert import convert

    text = convert(component, TOP) + "".join(model.read_text() for model in models)
    waves = bench_root() / f"{name}.vcd" if os.environ.get("OPZO_WAVES") else None
    program = _build(text, name, public, waves is not None)
    chosen = int(os.environ.get("OPZO_SEED", DEFAULT_SEED)) if seed is None else seed
    _run(program.parent, test_module, parameters or {}, chosen, testcase, waves)


def parameters() -> dict[str, Any]:
    """Parameters of the running testbench."""
    result: dict[str, Any] = json.loads(os.environ["OPZO_BENCH_PARAMETERS"])
    return result


def seed() -> int:
    """Seed of the running testbench."""
    return int(os.environ["OPZO_BENCH_SEED"])


async def start(dut: Any, period_ns: float = 10) -> None:
    """Start the clock ``clk``, reset, and return at a falling edge with reset released.

    Create the stream endpoints before calling it, so that their ``valid`` and ``ready`` are low during reset.
    """
    from cocotb.clock import Clock
    from cocotb.triggers import FallingEdge

    Clock(dut.clk, period_ns, unit="ns").start()
    dut.rst.value = 1
    for _ in range(3):
        await FallingEdge(dut.clk)
    dut.rst.value = 0


def bench_root() -> Path:
    """Folder of the testbench builds."""
    repository = Path(__file__).resolve().parents[2]
    if "OPZO_CACHE" not in os.environ and (repository / "pyproject.toml").is_file():
        return repository / "sim_build"
    return cache_root() / "sim_build"


def _build(text: str, name: str, public: Sequence[str], waves: bool) -> Path:
    import cocotb_tools.config

    libs, share = cocotb_tools.config.libs_dir, cocotb_tools.config.share_dir
    options = ["--vpi", "-O3", "--x-assign", "fast", "--x-initial", "fast"]
    ports = re.search(rf"^module {TOP}\((.*?)\);", text, re.MULTILINE | re.DOTALL)
    assert ports is not None
    seen = [(TOP, port) for port in re.findall(r"\w+", ports[1])] + [("*", signal) for signal in public]
    control = "".join(f'public_flat_rw -module "{module}" -var "{signal}"\n' for module, signal in seen)
    flags, runtime = [], ["verilated", "verilated_vpi", "verilated_threads"]
    if waves:
        options.append("--trace")
        flags += ["-UVM_TRACE", "-DVM_TRACE=1"]
        runtime.append("verilated_vcd_c")
    link = [f"-L{libs}", f"-Wl,-rpath,{libs}", "-lcocotbvpi_verilator"]
    key = content_hash(text, control, options, link, version("cocotb"), find_toolchain().key)
    objects = runtime_objects(bench_root(), runtime)
    build = partial(
        build_verilated,
        text,
        target=TOP,
        top=TOP,
        sources=[share / "lib" / "verilator" / "verilator.cpp"],
        objects=objects,
        control=control,
        options=options,
        flags=flags,
        link=link,
        # Waveforms need other flags.
        header=None if waves else precompiled_header(bench_root()),
    )
    try:
        return cached(bench_root() / f"{name}-{key}", build) / TOP
    except BuildError as error:
        raise AssertionError(f"{name} does not compile:\n{error.output}") from error


def _run(
    build: Path,
    test_module: str,
    parameters: dict[str, object],
    seed: int,
    testcase: str | Sequence[str] | None,
    waves: Path | None,
) -> None:
    from cocotb_tools.check_results import get_results
    from cocotb_tools.runner import get_runner

    folder = Path(tempfile.mkdtemp(prefix="run-", dir=build))
    log, results = folder / "log", folder / "results.xml"
    problem = None
    try:
        get_runner("verilator").test(
            test_module,
            hdl_toplevel=TOP,
            hdl_toplevel_lang="verilog",
            build_dir=build,
            test_dir=folder,
            results_xml=str(results),
            log_file=log,
            seed=seed,
            testcase=testcase,
            waves=waves is not None,
            extra_env={"OPZO_BENCH_PARAMETERS": json.dumps(parameters), "OPZO_BENCH_SEED": str(seed)},
        )
    except SystemExit as error:
        problem = f"the simulator failed with exit code {error.code}"
    except RuntimeError as error:
        # Raised if a check in the gateware fails; the log contains its text.
        problem = f"the simulation failed: {error}"
    if waves is not None and (folder / "dump.vcd").exists():
        (folder / "dump.vcd").replace(waves)
    try:
        tests, failed = get_results(results)
    except RuntimeError:
        tests, failed = 0, 0
    if problem is None and failed:
        problem = f"{failed} of {tests} tests failed"
    if problem is None and tests == 0:
        problem = f"no test ran{'' if testcase is None else f' with the name {testcase}'}"
    if problem is not None:
        written = "" if waves is None else f"; waveform in {waves}"
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-LOG_LINES:]) if log.exists() else ""
        raise AssertionError(f"{test_module}, seed {seed}: {problem} (repeat with OPZO_SEED={seed}){written}\n{tail}")
    shutil.rmtree(folder)
