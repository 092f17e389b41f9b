"""Testbench of a lane's random generator."""

from random import Random
from typing import Any

import cocotb
import numpy as np
from cocotb.triggers import FallingEdge

from opzo.sim.benches import bench
from opzo.sim.golden.lfsr import LaneLFSRs
from opzo.spec.formats import DRAW_BITS, LFSR_BITS

HALF = (1 << DRAW_BITS) - 1


async def start(dut: Any) -> None:
    for name in ("draw", "load_low", "load_high", "load_data"):
        getattr(dut, name).value = 0
    await bench.start(dut)


async def load(dut: Any, state: int, low: bool = True, high: bool = True) -> None:
    """Load one or both halves of a state."""
    for strobe, data, wanted in ((dut.load_low, state & HALF, low), (dut.load_high, state >> DRAW_BITS, high)):
        if wanted:
            dut.load_data.value, strobe.value = data, 1
            await FallingEdge(dut.clk)
            strobe.value = 0
    dut.load_data.value = 0x5A5A


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def matches_golden(dut: Any) -> None:
    rng = Random(bench.seed())
    await start(dut)
    for state in (0, 1, 1 << (LFSR_BITS - 1), (1 << LFSR_BITS) - 1, *(1 << n for n in range(LFSR_BITS)), 0xDEADBEEF):
        golden = LaneLFSRs(np.array([state]))
        await load(dut, state)
        assert int(dut.state.value) == state
        for _ in range(5):
            dut.draw.value = 1
            await FallingEdge(dut.clk)
            assert int(dut.bits.value) == golden.draw(1)[0, 0]
            assert int(dut.state.value) == golden.states[0]
        dut.draw.value = 0
    golden = LaneLFSRs(np.array([rng.getrandbits(LFSR_BITS)]))
    await load(dut, int(golden.states[0]))
    bits = int(dut.bits.value)
    for _ in range(3000):
        draw = rng.getrandbits(1)
        dut.draw.value = draw
        await FallingEdge(dut.clk)
        dut.draw.value = 0
        if draw:
            bits = int(golden.draw(1)[0, 0])
        assert int(dut.bits.value) == bits
        assert int(dut.state.value) == golden.states[0]


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def loads_halves_apart(dut: Any) -> None:
    rng = Random(bench.seed())
    await start(dut)
    state = 0
    await load(dut, state)
    for _ in range(200):
        fresh, low, high = rng.getrandbits(LFSR_BITS), rng.random() < 0.5, rng.random() < 0.5
        await load(dut, fresh, low, high)
        state = (fresh if low else state) & HALF | (fresh if high else state) & ~HALF
        assert int(dut.state.value) == state


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def reset_keeps_the_state(dut: Any) -> None:
    rng = Random(bench.seed())
    await start(dut)
    state = rng.getrandbits(LFSR_BITS)
    await load(dut, state)
    dut.rst.value = 1
    await FallingEdge(dut.clk)
    dut.rst.value = 0
    await FallingEdge(dut.clk)
    assert int(dut.state.value) == state
