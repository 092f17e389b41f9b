"""Testbench of LEDs that stay on for a while."""

from random import Random
from typing import Any

import cocotb
from cocotb.triggers import FallingEdge

from opzo.sim.benches import bench


@cocotb.test(timeout_time=5, timeout_unit="ms")
async def lights_stay_on_and_go_off(dut: Any) -> None:
    count, cycles = bench.parameters()["count"], bench.parameters()["cycles"]
    rng = Random(bench.seed())
    dut.strobe.value = 0
    await bench.start(dut)
    # Cycles since the last strobe of each light; none yet.
    since = [10 * cycles] * count
    for _ in range(200 * cycles):
        strobes = [int(rng.random() < 0.4 / cycles) for _ in range(count)]
        dut.strobe.value = sum(strobe << n for n, strobe in enumerate(strobes))
        await FallingEdge(dut.clk)
        on = int(dut.on.value)
        since = [0 if strobe else before + 1 for strobe, before in zip(strobes, since, strict=True)]
        for light, age in enumerate(since):
            if age < cycles:
                assert on >> light & 1, f"light {light} is off {age} cycles after its strobe"
            if age > 2 * cycles:
                assert not on >> light & 1, f"light {light} is on {age} cycles after its strobe"
