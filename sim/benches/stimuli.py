"""Random inputs of runs, for tests of the golden model, the compiled model and the gateware."""

import numpy as np

from opzo.spec.commands import RunFlag
from opzo.spec.events import Chunk
from opzo.spec.formats import HISTORY_STEPS
from opzo.spec.network import Network
from opzo.spec.rules import Input

DENSITIES = (0.0, 0.02, 0.3, 1.0)
"""Share of the inputs with a non-zero value, or with an event in a time step."""


def draw_chunk(
    rng: np.random.Generator, network: Network, most: int | None = None, most_steps: int = HISTORY_STEPS
) -> Chunk:
    """Input of one run: from no steps and events to the maximum (``most_steps`` steps and ``most`` events)."""
    if network.input is Input.FRAME:
        lit = np.flatnonzero(rng.random(network.inputs) < rng.choice(DENSITIES))
        return Chunk(lit, rng.choice((1, 255, int(rng.integers(1, 256))), len(lit)))
    steps = 1 if network.input is Input.GRADED else int(rng.integers(1, most_steps + 1))
    left = network.limits(4).events if most is None else most
    lists = []
    for _ in range(steps):
        lit = np.flatnonzero(rng.random(network.inputs) < rng.choice(DENSITIES))[:left]
        left -= len(lit)
        lists.append(lit)
    if network.input is Input.SPIKES:
        return Chunk.of_steps(lists)
    return Chunk.of_steps(lists, [rng.integers(1, 256, len(lit)) for lit in lists])


def draw_flags(rng: np.random.Generator) -> RunFlag:
    """Flags of a run: usually with learning, sometimes a fresh start."""
    flags = RunFlag(0)
    for flag, share in ((RunFlag.TRAIN, 0.8), (RunFlag.FRESH, 0.2), (RunFlag.DECISION, 0.1)):
        if rng.random() < share:
            flags |= flag
    return flags
