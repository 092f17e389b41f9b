"""Testbench of Saturate: each value of a small width, to each smaller width."""

from typing import Any

import cocotb
import numpy as np
from cocotb.triggers import FallingEdge

from opzo.sim.benches import bench
from opzo.sim.benches.compare import assert_equal
from opzo.sim.golden.saturate import saturate


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def matches_golden(dut: Any) -> None:
    width = bench.parameters()["width"]
    values = np.arange(-(1 << (width - 1)), 1 << (width - 1))
    await bench.start(dut)
    results: dict[int, list[tuple[int, int]]] = {narrow: [] for narrow in range(2, width + 1)}
    for value in values.tolist():
        dut.i.value = value
        await FallingEdge(dut.clk)
        for narrow, pairs in results.items():
            pairs.append(
                (getattr(dut, f"o_{narrow}").value.to_signed(), int(getattr(dut, f"saturated_{narrow}").value))
            )
    for narrow, pairs in results.items():
        expected = np.stack(saturate(values, narrow), axis=1)
        assert_equal(pairs, expected, what=f"(value, saturated) to {narrow} bits", seed=bench.seed())
