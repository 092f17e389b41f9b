"""Testbench of multiplier and accumulator."""

from itertools import product
from random import Random
from typing import Any

import cocotb
import numpy as np
from amaranth import signed
from amaranth.lib import wiring
from amaranth.lib.wiring import Out

from opzo.hw.lanes.accumulator import SUM_SHIFT
from opzo.hw.lib.multiplier import LATENCY, WIDTH, Multiplier
from opzo.sim.benches import bench
from opzo.sim.benches.compare import assert_equal
from opzo.sim.benches.pipeline import PipelinedUnit
from opzo.sim.golden.feedback import feedback_sum
from opzo.sim.golden.integrate import integrate
from opzo.sim.golden.saturate import saturate
from opzo.spec.formats import (
    ACCUMULATOR,
    BIAS_INPUT,
    ERROR,
    FEEDBACK_ENTRY,
    FEEDBACK_FACTOR_BITS,
    FEEDBACK_SHIFT_MAX,
    MEMBRANE,
    PRODUCT_SHIFT,
    RATE_BITS,
    SPIKE_INPUT,
    WEIGHT,
)

INPUTS = {"a": 0, "b": 0, "en": LATENCY, "first": LATENCY}
OUTPUTS = dict.fromkeys(("sum", "current", "saturated"), LATENCY + 1)
SIGNATURE = wiring.Signature(
    {
        "sum": Out(signed(ACCUMULATOR.width - SUM_SHIFT)),
        "current": Out(signed(MEMBRANE.width)),
        "saturated": Out(1),
    }
)
LARGEST_ERROR = ERROR.max * ((1 << RATE_BITS) - 1)
MOST_ROWS = 4096
MOST_CLASSES = 64
CHECKED_ROWS = 64
"""Words of up to so many rows are compared after each row, longer ones after the last."""


class Script:
    """Rows of words, one after another, and the sums that are expected."""

    def __init__(self, rng: Random) -> None:
        self._rng = rng
        self.vectors: dict[str, list[int]] = {name: [] for name in INPUTS}
        self.expected: dict[str, list[tuple[int, int]]] = {name: [] for name in OUTPUTS}
        """By output: (cycle, value)."""

    def integrate(self, weights: np.ndarray, values: np.ndarray, gap: float) -> None:
        """A word of input values; the current is checked after each row, for a long word only after the last."""
        count = len(weights)
        for n, cycles in enumerate(self._rows(weights, values, gap)):
            if n == count - 1 or count <= CHECKED_ROWS:
                current, saturated = integrate(weights[None, : n + 1, None], values[: n + 1])
                for cycle in cycles:
                    self.expected["current"].append((cycle, int(current[0, 0])))
                    self.expected["saturated"].append((cycle, int(saturated[0, 0])))

    def feedback(self, entries: np.ndarray, shift: int, errors: np.ndarray, gap: float) -> None:
        """A word of feedback entries; the sum is checked after each."""
        factors, _ = saturate(entries >> shift, FEEDBACK_FACTOR_BITS)
        for n, cycles in enumerate(self._rows(factors << PRODUCT_SHIFT, errors, gap)):
            total = feedback_sum(entries[None, : n + 1, None], shift, errors[: n + 1])
            self.expected["sum"] += [(cycle, int(total[0, 0]) >> SUM_SHIFT) for cycle in cycles]

    def _rows(self, a: np.ndarray, b: np.ndarray, gap: float) -> list[list[int]]:
        """Append rows, each followed by random idle cycles; for each row the cycles after which the sum is its own."""
        cycles = []
        for n, row in enumerate(zip(a.tolist(), b.tolist(), strict=True)):
            cycles.append([self._cycle(*row, 1, n == 0)])
            while self._rng.random() < gap:
                idle = [self._rng.getrandbits(WIDTH) for _ in range(2)]
                cycles[-1].append(self._cycle(*idle, 0, self._rng.getrandbits(1)))
        return cycles

    def _cycle(self, *values: int) -> int:
        for name, value in zip(INPUTS, values, strict=True):
            self.vectors[name].append(value)
        return len(self.vectors["a"]) - 1


async def check(dut: Any, script: Script, rng: Random) -> None:
    """Run all cycles of a script and compare."""
    unit = PipelinedUnit(dut, SIGNATURE, INPUTS, OUTPUTS, rng)
    results = await unit.run(script.vectors)
    for name, checks in script.expected.items():
        cycles, values = np.array(checks, np.int64).reshape(-1, 2).T
        assert_equal(results[name][cycles], values, what=f"{name} by check", seed=bench.seed())


def rows_that_sum_to(current: int) -> tuple[np.ndarray, np.ndarray]:
    """Weights and values whose sum is ``current`` before saturation: spikes of the largest weight, and one more."""
    sign = 1 if current >= 0 else -1
    spikes, remainder = divmod(abs(current), WEIGHT.max)
    return np.array([sign * WEIGHT.max] * spikes + [sign * remainder]), np.full(spikes + 1, SPIKE_INPUT)


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def multiplies(dut: Any) -> None:
    rng, arrays = Random(bench.seed()), np.random.default_rng(bench.seed())
    unit = PipelinedUnit(dut, Multiplier().signature, {"a": 0, "b": 0}, {"product": LATENCY}, rng)
    dut.en.value = 0
    await bench.start(dut)
    low, high = -(1 << (WIDTH - 1)), (1 << (WIDTH - 1)) - 1
    corners = np.array(list(product((low, low + 1, -1, 0, 1, high), repeat=2)))
    for name, vectors in (("corner", corners), ("random vector", arrays.integers(low, high + 1, (1000, 2)))):
        a, b = vectors.T
        await unit.check({"a": a, "b": b}, {"product": a * b}, what=name, seed=bench.seed())


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def integrates_as_golden(dut: Any) -> None:
    rng, arrays = Random(bench.seed()), np.random.default_rng(bench.seed())
    script = Script(rng)
    await bench.start(dut)
    for value in (0, 1, BIAS_INPUT, SPIKE_INPUT):
        for weight in (WEIGHT.min, -17, -16, -15, -1, 0, 1, 15, 16, 17, WEIGHT.max):
            script.integrate(np.full(3, weight), np.full(3, value), 0.3)
    for current in (*(MEMBRANE.min + d for d in (-1, 0, 1)), *(MEMBRANE.max + d for d in (-1, 0, 1))):
        script.integrate(*rows_that_sum_to(current), 0)
    # The longest words with the largest products: they just fit into the accumulator.
    for weight in (WEIGHT.min, WEIGHT.max):
        script.integrate(np.full(MOST_ROWS, weight), np.full(MOST_ROWS, SPIKE_INPUT), 0)
    for _ in range(300):
        count = rng.choice((1, 2, rng.randint(1, MOST_CLASSES)))
        scale = 1 << rng.randrange(1, WEIGHT.width)
        values = rng.choice(([SPIKE_INPUT] * count, rng.choices(range(SPIKE_INPUT + 1), k=count)))
        script.integrate(arrays.integers(-scale, scale, count), np.array(values), rng.choice((0, 0.5)))
    await check(dut, script, rng)


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def sums_feedback_as_golden(dut: Any) -> None:
    rng, arrays = Random(bench.seed()), np.random.default_rng(bench.seed())
    script = Script(rng)
    await bench.start(dut)
    for shift in (0, 7, FEEDBACK_SHIFT_MAX):
        for entry in (FEEDBACK_ENTRY.min, -(256 << shift), -1, 0, 1, 255 << shift, FEEDBACK_ENTRY.max):
            clipped = max(FEEDBACK_ENTRY.min, min(FEEDBACK_ENTRY.max, entry))
            for error in (-LARGEST_ERROR, -1, 0, 1, LARGEST_ERROR):
                script.feedback(np.full(MOST_CLASSES, clipped), shift, np.full(MOST_CLASSES, error), 0)
    for _ in range(300):
        count = rng.choice((1, 2, 10, MOST_CLASSES))
        entries = arrays.integers(FEEDBACK_ENTRY.min, FEEDBACK_ENTRY.max + 1, count)
        errors = arrays.integers(-LARGEST_ERROR, LARGEST_ERROR + 1, count)
        script.feedback(entries, rng.randrange(FEEDBACK_SHIFT_MAX + 1), errors, rng.choice((0, 0.3)))
        if rng.random() < 0.5:
            script.integrate(entries, np.full(count, SPIKE_INPUT), 0)
    await check(dut, script, rng)
