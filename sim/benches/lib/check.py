"""Testbench of `opzo.hw.lib.check`: a counter that must not be enabled at 3."""

from typing import Any

import cocotb
from cocotb.triggers import FallingEdge

from opzo.sim.benches.bench import start


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def counts_to_three_and_ignores_reset(dut: Any) -> None:
    dut.en.value = 0
    await start(dut)
    dut.en.value = 1
    for count in range(4):
        assert int(dut.count.value) == count
        dut.rst.value = count == 3
        await FallingEdge(dut.clk)
    assert int(dut.count.value) == 0


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def counts_too_far(dut: Any) -> None:
    dut.en.value = 0
    await start(dut)
    dut.en.value = 1
    for _ in range(10):
        await FallingEdge(dut.clk)
