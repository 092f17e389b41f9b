"""Testbench of the row update."""

from itertools import product
from random import Random
from typing import Any

import cocotb
import numpy as np

from opzo.hw.update import LATENCY, UPDATE_DELAY, UPDATE_WIDTH, RowUpdate
from opzo.sim import bench
from opzo.sim.golden.update import update_rows
from opzo.sim.pipeline import PipelinedUnit
from opzo.spec.formats import DRAW_BITS, UPDATE_FRAC_BITS, WEIGHT

INPUTS = {"row": 0, "decay_shift": 0, "random": 1, "update": UPDATE_DELAY}
OUTPUTS = {"result": LATENCY, "saturated": LATENCY}
SHIFTS = 16
ALL_ONES = (1 << UPDATE_FRAC_BITS) - 1
UPDATE_MIN, UPDATE_MAX = -(1 << (UPDATE_WIDTH - 1)), (1 << (UPDATE_WIDTH - 1)) - 1


def corners() -> np.ndarray:
    """Vectors (row, decay_shift, random, update) in which random bits and decay decide the last bit or a saturation."""
    one = 1 << UPDATE_FRAC_BITS
    vectors = []
    for shift in range(SHIFTS):
        half = 1 << max(0, shift - 1)
        rows = {WEIGHT.min, WEIGHT.min + 1, -1, 0, 1, WEIGHT.max - 1, WEIGHT.max}
        # Where the decay's rounding turns.
        rows |= {sign * half + d for sign in (-1, 1) for d in (-1, 0, 1) if WEIGHT.min <= sign * half + d <= WEIGHT.max}
        updates = (UPDATE_MIN, UPDATE_MIN + 1, -one, 1 - one, -1, 0, 1, one - 1, one, UPDATE_MAX)
        vectors += list(product(sorted(rows), (shift,), (0, ALL_ONES), updates))
    # One below, at and one above the sums that just saturate.
    for row, random, d in product((WEIGHT.min, 0, WEIGHT.max), (0, 1, ALL_ONES), (-1, 0, 1)):
        for target in (WEIGHT.min << UPDATE_FRAC_BITS, (WEIGHT.max + 1) << UPDATE_FRAC_BITS):
            update = (row << UPDATE_FRAC_BITS) + random - target + d
            if UPDATE_MIN <= update <= UPDATE_MAX:
                vectors.append((row, 0, random, update))
    return np.array(vectors)


def random_vectors(rng: np.random.Generator, count: int) -> np.ndarray:
    """Vectors of all magnitudes."""
    row_scale = 1 << rng.integers(1, WEIGHT.width, count)
    update_scale = 1 << rng.integers(1, UPDATE_WIDTH, count)
    row, update = rng.integers(-row_scale, row_scale), rng.integers(-update_scale, update_scale)
    random = rng.choice([0, ALL_ONES, -1], count)
    random = np.where(random < 0, rng.integers(0, ALL_ONES + 1, count), random)
    return np.stack([row, rng.integers(0, SHIFTS, count), random, update], axis=1)


def golden(vectors: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Rows and saturations; the bits of a draw that do not round are random."""
    row, shifts, random, update = vectors.T
    unused = DRAW_BITS - UPDATE_FRAC_BITS
    draws = (random << unused | rng.integers(0, 1 << unused, len(random))).astype(np.uint16)
    result, saturated = np.zeros(len(row), np.int64), np.zeros(len(row), bool)
    for shift in range(SHIFTS):
        at = shifts == shift
        result[at], saturated[at] = update_rows(row[at], update[at], draws[at], shift)
    return result, saturated


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def matches_golden(dut: Any) -> None:
    arrays = np.random.default_rng(bench.seed())
    unit = PipelinedUnit(dut, RowUpdate().signature, INPUTS, OUTPUTS, Random(bench.seed()))
    await bench.start(dut)
    for name, vectors in (("corner", corners()), ("random vector", random_vectors(arrays, 4000))):
        await unit.check(
            dict(zip(INPUTS, vectors.T, strict=True)),
            dict(zip(OUTPUTS, golden(vectors, arrays), strict=True)),
            what=name,
            seed=bench.seed(),
        )
