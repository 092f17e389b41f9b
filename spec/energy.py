"""Energy of operations, as published; `opzo.host.report.energy` multiplies them by counts.

They are of one 45 nm process and no FPGA was measured, so they serve to compare ways of computing, not to predict what
a supply delivers. Static power of an FPGA is not here: no figure of a vendor was at hand that could be checked.
"""

from dataclasses import dataclass

SOURCE = "M. Horowitz, Computing's energy problem, ISSCC 2014: rough energy of operations in 45 nm at 0.9 V"


@dataclass(frozen=True)
class Operation:
    """An operation, and its energy in picojoules by SOURCE."""

    name: str
    picojoules: float


INTEGER_ADD = Operation("32-bit integer add", 0.1)
INTEGER_MULTIPLY = Operation("32-bit integer multiply", 3.1)
FLOAT_ADD = Operation("32-bit float add", 0.9)
FLOAT_MULTIPLY = Operation("32-bit float multiply", 3.7)
MEMORY_BITS = 64
MEMORY_READ = Operation(f"{MEMORY_BITS}-bit read of an 8 kB SRAM", 10.0)
"""The source has no figure for a write, which is taken to cost as much as a read."""
