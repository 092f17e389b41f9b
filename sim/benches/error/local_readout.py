"""Testbench of the local readout."""

from random import Random
from typing import Any

import cocotb
import numpy as np
from amaranth.utils import exact_log2

from opzo.hw.error.local_readout import LocalReadout
from opzo.sim.benches import bench
from opzo.sim.benches.compare import assert_equal
from opzo.sim.benches.pipeline import PipelinedUnit
from opzo.sim.golden.local_readout import local_readout
from opzo.spec.formats import MEMBRANE, WEIGHT
from opzo.spec.limits import Limits

INPUTS = {"valid": 0, "first": 0, "last": 0, "sum": 0}
OUTPUTS = {"o_valid": 1, "o": 1}


def corner_entries(limits: Limits) -> list[np.ndarray]:
    """Entries (words, lanes) of one class: the ends, and sums around those that just saturate."""
    full = (limits.blocks or limits.words, limits.lanes)
    entries = [np.full(full, value) for value in (WEIGHT.min, -1, 0, 1, WEIGHT.max)]
    for end in (MEMBRANE.min, MEMBRANE.max):
        for d in (-2, -1, 0, 1, 2):
            flat = np.zeros(full[0] * full[1], np.int64)
            top = WEIGHT.max if end > 0 else WEIGHT.min
            whole, rest = divmod(end + d, top)
            flat[:whole], flat[whole] = top, rest
            entries.append(flat.reshape(full))
    return entries


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def matches_golden(dut: Any) -> None:
    limits = Limits(**bench.parameters()["limits"])
    rng, arrays = Random(bench.seed()), np.random.default_rng(bench.seed())
    most = limits.blocks or limits.words
    shifts = range(exact_log2(limits.block) + 1)
    inputs = INPUTS | ({"block_shift": 1} if limits.gradients else {})
    unit = PipelinedUnit(dut, LocalReadout(limits).signature, inputs, OUTPUTS, rng)
    await bench.start(dut)
    classes = corner_entries(limits)
    for _ in range(300):
        words = rng.choice((1, 2, most))
        classes.append(arrays.integers(-(1 << rng.randrange(1, 16)), 1 << rng.randrange(1, 16), (words, limits.lanes)))
    vectors: dict[str, list[int]] = {name: [] for name in inputs}
    valid, expected = [], []
    for entries in classes:
        shift = rng.choice(shifts)
        share, scale = rng.choice((0.1, 0.5, 1.0)), rng.choice((1, 1 << 2 * shift))
        spikes = arrays.binomial(scale, share, entries.shape)
        sums = (entries * spikes).sum(axis=1).tolist()
        for word, total in enumerate(sums):
            while rng.random() < 0.2:
                # Nothing is strobed.
                for name, bits in (
                    ("valid", 0),
                    ("first", rng.getrandbits(1)),
                    ("last", rng.getrandbits(1)),
                    ("sum", 1),
                    ("block_shift", shift),
                ):
                    vectors.get(name, []).append(bits)
                valid.append(0)
            row = {"valid": 1, "first": word == 0, "last": word == len(sums) - 1, "sum": total}
            for name, value in (row | {"block_shift": shift}).items():
                vectors.get(name, []).append(int(value))
            valid.append(int(row["last"]))
        expected.append(int(local_readout(entries[:, None, :], spikes, 2 * shift)[0]))
    results = await unit.run(vectors)
    assert_equal(results["o_valid"], valid, what="strobes by cycle", seed=bench.seed())
    got = [o for o, strobe in zip(results["o"], results["o_valid"], strict=True) if strobe]
    assert_equal(got, expected, what="readouts by class", seed=bench.seed())
