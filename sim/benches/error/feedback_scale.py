"""Testbench of the scale estimator."""

from random import Random
from typing import Any

import cocotb
import numpy as np
from cocotb.triggers import FallingEdge

from opzo.sim.benches import bench
from opzo.sim.golden.feedback_scale import feedback_shift
from opzo.spec.formats import FEEDBACK_ENTRY, FEEDBACK_MEAN_MAX

MOST_CYCLES = 30


def feed(dut: Any, value: int | None, rng: Random) -> None:
    """Set ``entry``: a value, or None for none."""
    width = FEEDBACK_ENTRY.width
    bits = rng.getrandbits(width) if value is None else value & ((1 << width) - 1)
    dut.entry.value = bits << 1 | (value is not None)


async def start(dut: Any) -> None:
    for name in ("clear", "entry", "finish"):
        getattr(dut, name).value = 0
    await bench.start(dut)


async def estimate(dut: Any, entries: list[int], stall: float, rng: Random) -> int:
    """Shift of some entries; checks that it comes in time and stays."""
    dut.clear.value = 1
    feed(dut, None, rng)
    await FallingEdge(dut.clk)
    dut.clear.value = 0
    for n, value in enumerate(entries):
        while rng.random() < stall:
            feed(dut, None, rng)
            await FallingEdge(dut.clk)
        feed(dut, value, rng)
        # Together with the last entry, or later.
        finished = n == len(entries) - 1 and rng.random() < 0.5
        dut.finish.value = finished
        await FallingEdge(dut.clk)
    feed(dut, None, rng)
    cycles = 1
    if not entries or not finished:
        dut.finish.value = 1
        await FallingEdge(dut.clk)
    dut.finish.value = 0
    while not dut.done.value:
        assert cycles < MOST_CYCLES
        await FallingEdge(dut.clk)
        cycles += 1
    shift = int(dut.shift.value)
    assert cycles == 4 + 2 * shift
    for _ in range(3):
        await FallingEdge(dut.clk)
        assert dut.done.value == 0
        assert dut.shift.value == shift
    return shift


@cocotb.test(timeout_time=100, timeout_unit="ms")
async def matches_golden(dut: Any) -> None:
    p, rng = bench.parameters(), Random(bench.seed())
    most = p["words"] * p["classes"]
    low, high = FEEDBACK_ENTRY.min, FEEDBACK_ENTRY.max
    await start(dut)
    corners = [[v] * n for v in (low, -1, 0, 1, high) for n in (1, most)]
    for shift in range(10):
        limit = FEEDBACK_MEAN_MAX << shift
        corners += [[v] * n for v in (limit - 1, limit, -limit) for n in (1, 2)]
        # Sums one below, at and one above the limit.
        corners += [[limit, limit - 1], [limit, -limit], [limit - 1, limit, -limit - 1], [-limit, limit, limit + 1]]
    for entries in corners:
        clipped = [max(low, min(high, v)) for v in entries][:most]
        assert await estimate(dut, clipped, 0, rng) == feedback_shift(np.array(clipped)), clipped
    for _ in range(1000):
        scale = 1 << rng.randrange(1, FEEDBACK_ENTRY.width)
        count = rng.randint(1, min(most, 40))
        entries = [rng.randrange(-scale, scale) for _ in range(count)]
        got = await estimate(dut, entries, rng.choice((0, 0.5)), rng)
        assert got == feedback_shift(np.array(entries)), f"seed {bench.seed()}: {entries}"


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def clear_and_reset_forget(dut: Any) -> None:
    rng = Random(bench.seed())
    await start(dut)
    for strobe in (dut.clear, dut.rst):
        for cycles in range(30):
            # Clear or reset while entries come in, between the last and finish, or in the middle of the search.
            for _ in range(min(cycles, 4)):
                feed(dut, FEEDBACK_ENTRY.min, rng)
                await FallingEdge(dut.clk)
            feed(dut, None, rng)
            dut.finish.value = cycles >= 4
            for _ in range(max(0, cycles - 4)):
                await FallingEdge(dut.clk)
                dut.finish.value = 0
            dut.finish.value = 0
            strobe.value = 1
            await FallingEdge(dut.clk)
            strobe.value = 0
            for _ in range(MOST_CYCLES):
                assert dut.done.value == 0
                await FallingEdge(dut.clk)
            for n in range(2):
                feed(dut, FEEDBACK_MEAN_MAX << 3, rng)
                dut.finish.value = n
                await FallingEdge(dut.clk)
            feed(dut, None, rng)
            dut.finish.value = 0
            while not dut.done.value:
                await FallingEdge(dut.clk)
            assert dut.shift.value == 4
            dut.clear.value = 1
            await FallingEdge(dut.clk)
            dut.clear.value = 0
