"""Testbench of the Verilog output: constants in part of a signal."""

from typing import Any

import cocotb
from cocotb.triggers import FallingEdge

from opzo.sim import bench


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def constant_parts_have_their_value(dut: Any) -> None:
    dut.i.value = 0
    await bench.start(dut)
    for value in (0, 15, 6):
        dut.i.value = value
        await FallingEdge(dut.clk)
        assert int(dut.o.value) == 0x950 | value
