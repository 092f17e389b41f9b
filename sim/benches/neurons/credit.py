"""Testbench of Credit."""

from random import Random
from typing import Any

import cocotb
import numpy as np

from opzo.hw.lanes.accumulator import SUM_SHIFT
from opzo.hw.neurons.credit import Credit
from opzo.hw.timing import CREDIT_CYCLES
from opzo.sim.benches import bench
from opzo.sim.benches.pipeline import PipelinedUnit
from opzo.sim.golden.feedback import credit
from opzo.spec.formats import ACCUMULATOR, ACTIVITY_BITS, CREDIT, DELTA_SHIFT, SURROGATE_OFF

INPUTS = {"sum": 0, "surrogate": 0, "spike": 2, "valid": 2}
OUTPUTS = {"credit": CREDIT_CYCLES, "saturated": CREDIT_CYCLES}
LARGEST_ACTIVITY = (1 << ACTIVITY_BITS) - 1
ACTIVITIES = (0, 1, 21, LARGEST_ACTIVITY)


def corners(activity: int) -> np.ndarray:
    """Vectors (total, surrogate, spike, valid): sums around the rounding steps and the ends of a credit."""
    credits = [-2, -1, 0, 1, 2, 3, *(CREDIT.max - activity + d for d in (-1, 0, 1, 2)), CREDIT.max, CREDIT.max + 1]
    credits += [CREDIT.min - 1, CREDIT.min, CREDIT.min + 1, CREDIT.min - activity]
    vectors = []
    for surrogate in range(SURROGATE_OFF + 1):
        # Smallest sum that is rounded to a credit; the one below is rounded to the next smaller credit.
        shift = DELTA_SHIFT + min(surrogate, SURROGATE_OFF - 1)
        totals = [(value << shift) - (1 << (shift - 1)) + d for value in credits for d in (-1, 0)]
        totals += [ACCUMULATOR.min, ACCUMULATOR.max, -1, 0, 1]
        for total in totals:
            if ACCUMULATOR.min <= total <= ACCUMULATOR.max:
                vectors += [(total, surrogate, spike, valid) for spike, valid in ((0, 1), (1, 1), (1, 0))]
    return np.array(vectors)


def random_vectors(rng: np.random.Generator, count: int) -> np.ndarray:
    """Vectors with sums of all magnitudes."""
    scale = np.int64(1) << rng.integers(1, ACCUMULATOR.width, count)
    total = rng.integers(-scale, scale)
    surrogate = rng.integers(0, SURROGATE_OFF + 1, count)
    return np.stack([total, surrogate, rng.random(count) < 0.5, rng.random(count) < 0.9], axis=1)


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def matches_golden(dut: Any) -> None:
    rng, arrays = Random(bench.seed()), np.random.default_rng(bench.seed())
    unit = PipelinedUnit(dut, Credit().signature, INPUTS, OUTPUTS, rng)
    await bench.start(dut)
    for activity in (*ACTIVITIES, rng.getrandbits(ACTIVITY_BITS)):
        dut.activity.value = activity
        for name, vectors in (("corner", corners(activity)), ("random vector", random_vectors(arrays, 1000))):
            total, surrogate, spike, valid = vectors.T
            golden = credit(total, surrogate, spike.astype(bool), activity, valid.astype(bool))
            await unit.check(
                dict(zip(INPUTS, (total >> SUM_SHIFT, surrogate, spike, valid), strict=True)),
                dict(zip(OUTPUTS, golden, strict=True)),
                what=f"{name} with activity {activity}",
                seed=bench.seed(),
            )
