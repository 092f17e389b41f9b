"""Testbench of the scale of gradients."""

from random import Random
from typing import Any

import cocotb
import numpy as np
from cocotb.triggers import FallingEdge

from opzo.hw.gradients.scale import MAGNITUDE_CYCLES, SEARCH_CYCLES
from opzo.sim.benches import bench
from opzo.sim.golden.gradient import gradient_shift, magnitude_after
from opzo.spec.formats import CONVOLUTION_RATE_BITS, GRADIENT, GRADIENT_SHIFT_MAX, MAGNITUDE_BITS

TOP = (1 << MAGNITUDE_BITS) - 1


def feed(dut: Any, rng: Random, value: int | None) -> None:
    """Set ``gradient``: a value, or None for none."""
    bits = rng.getrandbits(GRADIENT.width) if value is None else value & ((1 << GRADIENT.width) - 1)
    dut.gradient.value = bits << 1 | (value is not None)


async def begin(dut: Any, words: int, rows: int, rate: int, magnitude: int) -> None:
    """Set the settings, and strobe ``start``."""
    dut.words.value, dut.rows.value, dut.rate.value, dut.magnitude.value = words, rows, rate, magnitude
    dut.start.value = 1
    await FallingEdge(dut.clk)
    dut.start.value = 0


async def check_shift(dut: Any, words: int, rows: int, rate: int, magnitude: int) -> None:
    """Search and compare; checks that the shift comes in time."""
    await begin(dut, words, rows, rate, magnitude)
    cycles = 1
    while not dut.ready.value:
        assert cycles < SEARCH_CYCLES
        await FallingEdge(dut.clk)
        cycles += 1
    expected = gradient_shift(magnitude, words * rows, rate)
    what = f"seed {bench.seed()}: {words} words, {rows} rows, rate {rate}, magnitude {magnitude}"
    assert dut.shift.value == expected, f"{what}: shift {int(dut.shift.value)}, expected {expected}"


async def check_sum(dut: Any, rng: Random, magnitude: int, gradients: np.ndarray, stall: float) -> None:
    """Sum up gradients, after a search, and compare."""
    shift = int(dut.shift.value)
    for value in gradients.tolist():
        while rng.random() < stall:
            feed(dut, rng, None)
            await FallingEdge(dut.clk)
        feed(dut, rng, value)
        await FallingEdge(dut.clk)
    feed(dut, rng, None)
    for _ in range(MAGNITUDE_CYCLES - 1):
        await FallingEdge(dut.clk)
    for _ in range(2):
        expected = magnitude_after(magnitude, gradients)
        got = int(dut.magnitude_after.value)
        assert got == expected, f"seed {bench.seed()}, {magnitude}, {gradients}: {got}, expected {expected}"
        assert dut.ready.value == 1
        assert dut.shift.value == shift
        await FallingEdge(dut.clk)


async def start(dut: Any) -> Random:
    rng = Random(bench.seed())
    for name in ("start", "gradient", "words", "rows", "rate", "magnitude"):
        getattr(dut, name).value = 0
    await bench.start(dut)
    return rng


def random_layer(rng: Random, most: int) -> tuple[int, int, int]:
    """Words, rows and rate of a layer."""
    words = rng.randint(1, min(most, rng.choice((1, 4, 1000))))
    rate = rng.choice((0, 1, (1 << CONVOLUTION_RATE_BITS) - 1, rng.getrandbits(CONVOLUTION_RATE_BITS)))
    return words, rng.randint(1, most // words), rate


@cocotb.test(timeout_time=100, timeout_unit="ms")
async def matches_golden(dut: Any) -> None:
    rng, arrays, most = await start(dut), np.random.default_rng(bench.seed()), bench.parameters()["gradients"]
    for words, rows, rate in ((1, 1, 1), (1, most, (1 << CONVOLUTION_RATE_BITS) - 1), (1, 1, 0)):
        limits = [words * rows * rate << shift for shift in range(GRADIENT_SHIFT_MAX + 1)]
        for magnitude in {0, TOP} | {limit + n for limit in limits for n in (-1, 0, 1) if 0 <= limit + n <= TOP}:
            await check_shift(dut, words, rows, rate, magnitude)
    for _ in range(300):
        magnitude = rng.getrandbits(rng.randint(1, MAGNITUDE_BITS))
        await check_shift(dut, *random_layer(rng, most), magnitude)
        scale = 1 << rng.randrange(1, GRADIENT.width)
        gradients = arrays.integers(-scale, scale, rng.randint(0, min(most, 30)))
        await check_sum(dut, rng, magnitude, gradients, rng.choice((0, 0.5)))
    for value in (GRADIENT.min, GRADIENT.max, -1, 0):
        for magnitude in (0, TOP):
            await check_shift(dut, 1, 1, 1, magnitude)
            await check_sum(dut, rng, magnitude, np.full(most, value), 0)


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def reset_forgets_everything(dut: Any) -> None:
    rng, arrays, most = await start(dut), np.random.default_rng(bench.seed()), bench.parameters()["gradients"]
    for _ in range(100):
        await begin(dut, *random_layer(rng, most), TOP)
        for _ in range(rng.randrange(SEARCH_CYCLES)):
            feed(dut, rng, GRADIENT.min if dut.ready.value else None)
            await FallingEdge(dut.clk)
        feed(dut, rng, None)
        dut.rst.value = 1
        await FallingEdge(dut.clk)
        dut.rst.value = 0
        assert dut.ready.value == 0
        magnitude = rng.getrandbits(MAGNITUDE_BITS)
        await check_shift(dut, *random_layer(rng, most), magnitude)
        await check_sum(dut, rng, magnitude, arrays.integers(GRADIENT.min, GRADIENT.max, 3), 0)
