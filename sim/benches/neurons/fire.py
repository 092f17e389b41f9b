"""Testbench of Fire."""

from itertools import product
from random import Random
from typing import Any

import cocotb
import numpy as np

from opzo.hw.neurons.fire import Fire
from opzo.hw.timing import FIRE_CYCLES
from opzo.sim.benches import bench
from opzo.sim.benches.pipeline import PipelinedUnit
from opzo.sim.golden.fire import fire, leaked
from opzo.spec.formats import ALPHA_BITS, MEMBRANE, SURROGATE_OFF, SURROGATE_SHIFT, THRESHOLD
from opzo.spec.neurons import LEAK_BITS, Leak, Reset

INPUTS = {"v": 0, "current": 0, "noise": 1, "negative": 1, "valid": 1, "leak": 0, "to_zero": 1}
OUTPUTS = {"v_next": FIRE_CYCLES, "spike": FIRE_CYCLES, "surrogate": FIRE_CYCLES, "saturated": FIRE_CYCLES}
LARGEST_ALPHA = (1 << ALPHA_BITS) - 1
ALPHAS = (0, 1, 819, LARGEST_ALPHA)
SETTINGS = tuple(product(range(1 << LEAK_BITS), Reset))
"""Numbers of leaks, also of none, and resets."""


def potentials(alpha: int) -> list[int]:
    """Potentials around each comparison of Fire, and beyond the ends of the format."""
    edges = [code << SURROGATE_SHIFT for code in range(SURROGATE_OFF + 2)]
    distances = {sign * edge + d for edge in (*edges, alpha) for sign in (-1, 1) for d in (-1, 0, 1)}
    near = [THRESHOLD + distance for distance in sorted(distances)]
    ends = [end + d for end in (MEMBRANE.min, MEMBRANE.max) for d in (-1, 0, 1)]
    return [-1, 0, 1, *near, *ends]


def corners(alpha: int, leak: Leak) -> np.ndarray:
    """Vectors (v, current, noise, negative, valid): all potentials, each from several v, with each kind of noise."""
    vectors = []
    for u in potentials(alpha):
        for v in (MEMBRANE.min, -17, -1, 0, 1, 15, MEMBRANE.max):
            current = u - int(leaked(np.array(v), leak))
            if MEMBRANE.min <= current <= MEMBRANE.max:
                flags = ((0, 0, 1), (0, 1, 1), (1, 0, 1), (1, 1, 1), (0, 0, 0), (1, 0, 0))
                vectors += [(v, current, *flag) for flag in flags]
    for end in (MEMBRANE.min, MEMBRANE.max):
        vectors += [(end, end, noise, negative, 1) for noise in (0, 1) for negative in (0, 1)]
    return np.array(vectors)


def random_vectors(rng: np.random.Generator, count: int) -> np.ndarray:
    """Vectors of all magnitudes."""
    scale = 1 << rng.integers(1, MEMBRANE.width, (2, count))
    v, current = rng.integers(-scale, scale)
    return np.stack([v, current, *rng.integers(0, 2, (2, count)), rng.random(count) < 0.9], axis=1)


@cocotb.test(timeout_time=100, timeout_unit="ms")
async def matches_golden(dut: Any) -> None:
    rng, arrays = Random(bench.seed()), np.random.default_rng(bench.seed())
    unit = PipelinedUnit(dut, Fire().signature, INPUTS, OUTPUTS, rng)
    await bench.start(dut)
    for alpha in (*ALPHAS, *(rng.getrandbits(ALPHA_BITS) for _ in range(2))):
        dut.alpha.value = alpha
        # All neurons with one amplitude of noise, the usual ones with all of them.
        for number, reset in SETTINGS if alpha == ALPHAS[-2] else SETTINGS[:1]:
            leak = Leak.of_register(number)
            for name, vectors in (("corner", corners(alpha, leak)), ("random vector", random_vectors(arrays, 200))):
                v, current, noise, negative, valid = vectors.T
                golden = fire(v, current, noise * (1 - 2 * negative) * alpha, valid.astype(bool), leak, reset)
                settings = [np.full(len(v), number), np.full(len(v), reset)]
                await unit.check(
                    dict(zip(INPUTS, [*vectors.T, *settings], strict=True)),
                    dict(zip(OUTPUTS, golden, strict=True)),
                    what=f"{name} with alpha {alpha}, leak {leak.name}, reset {reset.name}",
                    seed=bench.seed(),
                )
