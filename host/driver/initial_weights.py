"""Initial weights and feedback matrices, from a seed."""

from collections.abc import Sequence
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from opzo.spec.formats import FEEDBACK_MEAN_MAX, FEEDBACK_SHIFT_MAX, WEIGHT
from opzo.spec.network import Network
from opzo.spec.rules import Rule
from opzo.spec.shuffle import SEED_BITS

INPUT_SCALE, EVENT_SCALE, HIDDEN_SCALE, READOUT_SCALE, LOCAL_SCALE = 1.5, 4.0, 3.0, 1.0, 1.0
"""Weights and entries of local readouts are uniform in +-scale / sqrt(n_in). EVENT_SCALE is for event inputs, few of
which are active in a time step."""
FEEDBACK_RANGE = 12288
"""Entries of a random feedback matrix are uniform in +-this. Their mean size is then halfway between two feedback
shifts, so that every seed gets the same shift."""
_WEIGHTS, _FEEDBACK, ORDER, AUGMENTATION, _LOCAL, _INTERMEDIATE = range(6)
"""Independent streams of random numbers of one seed."""


def generator(seed: int, *stream: int) -> np.random.Generator:
    """Random numbers of one stream, independent of those of all others."""
    return np.random.default_rng((seed, *stream))


def order_seed(seed: int, epoch: int) -> int:
    """Seed of order and shifts in an epoch of a training with ``seed``: 1 to 2^32 - 1 (``opzo.spec.shuffle``)."""
    return 1 + int(generator(seed, ORDER, epoch).integers((1 << SEED_BITS) - 1))


def initial_weights(network: Network, seed: int) -> list[NDArray[np.int16]]:
    """Weights of each layer, (n_in + 1, n_out) in Q3.12; the last row, the bias, is 0."""
    random = generator(seed, _WEIGHTS)
    weights = []
    first = EVENT_SCALE if network.input.events else INPUT_SCALE
    for layer, (rows, n_out) in enumerate(network.weight_shapes):
        n_in = rows - 1
        scale = first if layer == 0 else READOUT_SCALE if layer == len(network.hidden) else HIDDEN_SCALE
        matrix = np.zeros((rows, n_out), np.int16)
        matrix[:-1] = _uniform(random, scale / sqrt(n_in), (n_in, n_out))
        weights.append(matrix)
    return weights


def initial_local(network: Network, seed: int) -> list[NDArray[np.int16]]:
    """Entries of the local readouts, (classes, n) in Q3.12."""
    random = generator(seed, _LOCAL)
    shapes = network.feedback_shapes[: network.local]
    return [_uniform(random, LOCAL_SCALE / sqrt(shape[1]), shape) for shape in shapes]


def _uniform(random: np.random.Generator, bound: float, shape: tuple[int, int]) -> NDArray[np.int16]:
    drawn = np.rint(random.uniform(-bound * WEIGHT.one, bound * WEIGHT.one, shape))
    return np.clip(drawn, WEIGHT.min, WEIGHT.max).astype(np.int16)


def initial_feedback(network: Network, rule: Rule, seed: int) -> list[NDArray[np.int16]]:
    """Feedback matrix of each hidden layer, (classes, n): random for ``dfa``, 0 for ``opzo``; [] for the others."""
    return _matrices(network.feedback_shapes, rule, generator(seed, _FEEDBACK))


def initial_intermediate(network: Network, rule: Rule, seed: int) -> list[NDArray[np.int16]]:
    """Intermediate feedback matrix of each layer before the intermediate one, as those of `initial_feedback`."""
    return _matrices(network.intermediate_shapes, rule, generator(seed, _INTERMEDIATE))


def _matrices(shapes: Sequence[tuple[int, int]], rule: Rule, random: np.random.Generator) -> list[NDArray[np.int16]]:
    if not rule.feedback:
        return []
    if not rule.entry.random_matrix:
        return [np.zeros(shape, np.int16) for shape in shapes]
    return [random.integers(-FEEDBACK_RANGE, FEEDBACK_RANGE, shape, np.int16, endpoint=True) for shape in shapes]


def feedback_shift(feedback: NDArray[np.int16], lanes: int) -> int:
    """Shift of the feedback entries (any, channels) of a layer, those of all its matrices, as the device chooses it:
    from those of lane 0."""
    lane = np.abs(feedback[:, ::lanes].astype(np.int64))
    shift = 0
    while shift < FEEDBACK_SHIFT_MAX and lane.sum() >= FEEDBACK_MEAN_MAX * lane.size << shift:
        shift += 1
    return shift
