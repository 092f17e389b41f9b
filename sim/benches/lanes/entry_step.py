"""Testbench of the step of a feedback entry that a block shares."""

from random import Random
from typing import Any

import cocotb
import numpy as np

from opzo.hw.lanes.entry_step import ENTRY_STEP_CYCLES, FACTOR_CYCLES, EntryStep
from opzo.hw.neurons.neuron_state import block_sums
from opzo.sim.benches import bench
from opzo.sim.benches.pipeline import PipelinedUnit
from opzo.sim.benches.streams import pack
from opzo.spec.formats import MEMBRANE, SCALED_ERROR
from opzo.spec.limits import Limits

INPUTS = {
    **dict.fromkeys(("sums", "exists", "local"), 0),
    "difference": FACTOR_CYCLES,
    **dict.fromkeys(("shift", "shift_local"), FACTOR_CYCLES + 1),
}
OUTPUTS = {"factor": FACTOR_CYCLES, "step": ENTRY_STEP_CYCLES}


def pick(rng: np.random.Generator, low: int, high: int, count: int) -> np.ndarray:
    """Numbers of all magnitudes between ``low`` and ``high``, with the ends."""
    scale = 1 << rng.integers(0, high.bit_length() + 1, count)
    some = np.clip(rng.integers(-scale, scale + 1), low, high)
    corners = np.array([low, low + 1, max(low, -1), 0, 1, high - 1, high])
    return np.where(rng.random(count) < 0.4, rng.choice(corners, count), some)


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def matches_golden(dut: Any) -> None:
    rng = np.random.default_rng(bench.seed())
    limits = Limits(**bench.parameters()["limits"])
    unit = PipelinedUnit(dut, EntryStep(limits).signature, INPUTS, OUTPUTS, Random(bench.seed()))
    await bench.start(dut)
    count, layout = 4000, block_sums(limits)
    shift = rng.integers(0, limits.block.bit_length(), count)
    neurons = 1 << 2 * shift
    spikes = np.minimum(pick(rng, 0, limits.block**2, count), neurons)
    noise = np.clip(pick(rng, -(limits.block**2), limits.block**2, count), -neurons, neurons)
    local, exists = rng.integers(0, 2, count), rng.random(count) < 0.9
    top = (1 << MEMBRANE.width) - 1
    error, difference = (pick(rng, -most, most, count) for most in (SCALED_ERROR.max, top))
    factor = np.where(local, spikes, -noise) * exists
    # As in Run._update_entries of the golden model.
    product = factor * np.where(local, error, difference)
    vectors = {
        "sums": np.array(
            [pack(layout, {"noise": int(z), "spikes": int(n)}) for z, n in zip(noise, spikes, strict=True)]
        ),
        "exists": exists,
        "local": local,
        "difference": np.where(local, error, difference),
        "shift": shift,
        "shift_local": local,
    }
    expected = {"factor": factor, "step": np.where(local, product >> 2 * shift, product >> shift)}
    await unit.check(vectors, expected, what="entry", seed=bench.seed())
