"""Testbenches of the Verilog output: constants in part of a signal; registers with enable and reset."""

from typing import Any

import cocotb
from cocotb.triggers import FallingEdge

from opzo.sim.benches import bench


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def constant_parts_have_their_value(dut: Any) -> None:
    dut.i.value = 0
    await bench.start(dut)
    for value in (0, 15, 6):
        dut.i.value = value
        await FallingEdge(dut.clk)
        assert int(dut.o.value) == 0x950 | value


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def register_keeps_its_value_and_changes_in_part(dut: Any) -> None:
    dut.en.value = dut.part.value = dut.i.value = 0
    await bench.start(dut)
    value = -3
    for en, part, given in ((0, 0, 5), (1, 0, 5), (0, 0, -8), (0, 1, 0), (1, 1, -8), (0, 0, 1), (1, 0, 4)):
        dut.en.value, dut.part.value, dut.i.value = en, part, given
        await FallingEdge(dut.clk)
        value = (given if en else value) | 2 * part
        assert dut.o.value.to_signed() == value >> 1
