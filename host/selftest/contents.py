"""Random contents of experiments: memory images, inputs of runs, and registers that change between runs."""

from enum import Enum

import numpy as np
from numpy.typing import NDArray

from opzo.host.driver.row_layout import pack_rows
from opzo.host.selftest.runs_experiment import PlannedRun
from opzo.spec.commands import RunFlag
from opzo.spec.events import Chunk, encode_frame_pairs, encode_steps
from opzo.spec.formats import ALPHA_BITS, FEEDBACK_MEAN_MAX, FEEDBACK_REFRESH, RATE_BITS, WEIGHT
from opzo.spec.layout import Layer
from opzo.spec.limits import Limits
from opzo.spec.network import Network
from opzo.spec.neurons import NEURON_BITS
from opzo.spec.registers import LayerReg, Reg, layer_register
from opzo.spec.rules import Input


class Regime(Enum):
    """Distribution of weights, feedback matrices and settings."""

    USUAL = "usual"
    """Moderate firing rates; settings in their full range."""
    EXTREME = "extreme values"
    """Many weights at the limits of their range, so that sums saturate."""
    STRONG = "strong feedback"
    """Maximum feedback and step sizes with usual weights, so that credits saturate."""
    COARSE = "coarse values"
    """Weights and noise are multiples of a quarter and matrix entries have one magnitude: comparisons often tie."""


ENDS = (Regime.EXTREME, Regime.STRONG)
"""Regimes in which most feedback entries are at a limit of their range."""
EXTREME_SHARE = 0.7
"""Fraction of weights at a limit of the range, in neurons that are to saturate."""
COARSE = WEIGHT.one >> 2
FEEDBACK_SIZES = 8
"""Number of feedback shifts that the magnitudes of COARSE select."""
SETTINGS_RUNS = 5
"""Number of consecutive runs with the same settings."""


def image(network: Network, limits: Limits, random: np.random.Generator, regime: Regime) -> NDArray[np.uint16]:
    """All row-words of a network: weights, feedback matrices, local readouts.

    Lanes without a neuron get values as well, which must have no effect.
    """
    layers = network.layout(limits)
    rows = np.zeros((layers[-1].weight_base + layers[-1].words * layers[-1].rows, limits.lanes), np.uint16)
    for number, layer in enumerate(layers, 1):
        readout = number == len(layers)
        weights = _weights(layer, random, readout=readout, frame=number == 1 and network.input is Input.FRAME)
        if regime is Regime.EXTREME:
            _to_the_ends(weights, random)
        elif regime is Regime.COARSE:
            weights = ((weights + COARSE // 2) // COARSE * COARSE).astype(np.int16)
        _put(rows, layer.weight_base, weights, layer, limits, random)
        if not readout:
            matrix = _entries(network, layer, random, regime)
            for block, part in enumerate(np.split(matrix, layer.blocks, axis=1)):
                _put(rows, layer.feedback_base + block * layer.words * len(part), part, layer, limits, random)
    return rows


def _put(
    rows: NDArray[np.uint16],
    first: int,
    matrix: NDArray[np.int16],
    layer: Layer,
    limits: Limits,
    random: np.random.Generator,
) -> None:
    """Write a layer's matrix (rows, neurons) from row ``first``."""
    unused = layer.words * limits.lanes - layer.neurons
    filling = random.choice(matrix.reshape(-1), (len(matrix), unused))
    packed = pack_rows(fit_range(np.concatenate([matrix, filling], axis=1), limits), limits.lanes)
    rows[first : first + len(packed)] = packed.view(np.uint16)


def fit_range(matrix: NDArray[np.int16], limits: Limits) -> NDArray[np.int16]:
    """Clip a matrix to the weight range of a device and clear the bits below it."""
    bound = 1 << (WEIGHT.width - 1 - limits.low_bits)
    return matrix.clip(-bound, bound - 1) >> limits.low_bits << limits.low_bits


def _weights(layer: Layer, random: np.random.Generator, *, readout: bool, frame: bool) -> NDArray[np.int16]:
    """Weights of a layer, (rows, neurons); the last row is the bias."""
    inputs = layer.rows - 1
    scale = random.uniform(2.0, 6.0) if readout else random.uniform(2.0, 3.0) if frame else random.uniform(2.0, 5.0)
    bound = min(scale / np.sqrt(inputs), 7.9)
    weights = random.uniform(-bound, bound, (layer.rows, layer.neurons))
    weights[-1] = random.uniform(-0.2, 0.2, layer.neurons) if readout else random.uniform(-0.5, 0.8, layer.neurons)
    return np.rint(weights * WEIGHT.one).astype(np.int16)


def _entries(network: Network, layer: Layer, random: np.random.Generator, regime: Regime) -> NDArray[np.int16]:
    """Local readout, if any, and feedback matrices of a layer: (entries, blocks x neurons)."""
    shape = network.classes, layer.blocks * layer.neurons
    sets = [_matrix(shape, random, regime)]
    if layer.local:
        bound = random.uniform(0.5, 2.0) * WEIGHT.one
        local = random.uniform(-bound, bound, shape).astype(np.int64)
        if regime in ENDS:
            _to_the_ends(local, random)
        sets.insert(0, local)
    if layer.intermediate:
        sets.append(_matrix(shape, random, regime))
    return np.concatenate(sets).astype(np.int16)


def _matrix(shape: tuple[int, int], random: np.random.Generator, regime: Regime) -> NDArray[np.integer]:
    """A feedback matrix."""
    bits = int(random.integers(5, 16))
    matrix = random.integers(-(1 << bits), 1 << bits, shape).clip(WEIGHT.min, WEIGHT.max)
    if regime in ENDS:
        _to_the_ends(matrix, random)
    elif regime is Regime.COARSE:
        # The mean magnitude is exactly at the threshold of the next feedback shift.
        size = FEEDBACK_MEAN_MAX << int(random.integers(FEEDBACK_SIZES))
        matrix = random.choice([-size, size], shape)
    return matrix


def _to_the_ends(entries: NDArray[np.integer], random: np.random.Generator) -> None:
    """Set most entries of two in three columns to a limit of the range, mostly the same limit within a column."""
    ends = np.array([WEIGHT.min, WEIGHT.max])
    sign = random.integers(0, 3, (entries.shape[1],))
    share = np.full(entries.shape[1], EXTREME_SHARE)
    # All entries of one column are at the minimum, and those of another at the maximum.
    for end, column in enumerate(random.permutation(entries.shape[1])[: len(ends)].tolist()):
        sign[column], share[column] = end, 1.0
    chosen = (random.random(entries.shape) < share) & (sign < len(ends))
    entries[chosen] = np.broadcast_to(ends[np.minimum(sign, 1)], entries.shape)[chosen]
    mixed = (random.random(entries.shape) < 1 - EXTREME_SHARE) & (sign == len(ends))
    entries[mixed] = random.choice(ends, int(mixed.sum()))


def runs(network: Network, limits: Limits, count: int, random: np.random.Generator, regime: Regime) -> list[PlannedRun]:
    """Random runs of all kinds, most with learning, with new settings every SETTINGS_RUNS runs."""
    result = []
    for number in range(count):
        registers = {}
        if number % SETTINGS_RUNS == 0:
            registers = _settings(network, limits, random, number // SETTINGS_RUNS, regime)
        flags = RunFlag(0)
        for flag, share in ((RunFlag.TRAIN, 0.8), (RunFlag.FRESH, 0.25), (RunFlag.DECISION, 0.2)):
            flags |= flag if random.random() < share else RunFlag(0)
        label = int(random.integers(network.classes))
        result.append(PlannedRun(payload(network, limits, random, number), label, flags, registers))
    return result


def _settings(
    network: Network, limits: Limits, random: np.random.Generator, number: int, regime: Regime
) -> dict[int, int]:
    """Random registers of the learning rule, the neurons and the time steps."""
    few = (*(1 << bits for bits in (6, 7, 8, 16, 24, 32)), FEEDBACK_REFRESH // 2)
    odd = FEEDBACK_REFRESH * (2 * int(random.integers(1 << 20)) + 1)
    samples = int(random.choice((odd, odd + FEEDBACK_REFRESH // 2, *few))) - int(random.integers(1, 3))
    top = regime is Regime.STRONG or (regime is Regime.EXTREME and number % 2 == 0)
    alpha, rate = int(random.integers(100, 1 << ALPHA_BITS)), int(random.integers(20, 1 << RATE_BITS))
    if top:
        alpha, rate = (1 << ALPHA_BITS) - 1, (1 << RATE_BITS) - 1
    elif regime is Regime.COARSE:
        # The first settings do not change weights.
        alpha, rate = alpha // COARSE * COARSE, rate * (number > 1)
    values = {
        int(Reg.ALPHA): alpha,
        int(Reg.RATE): rate,
        int(Reg.ACTIVITY): int(random.integers(1 << (12 if top else int(random.integers(1, 13))))),
        int(Reg.DECAY_SHIFT): int(random.choice((0, *range(16)))),
        int(Reg.LEAK_SHIFT): int(random.choice((0, *range(16)))),
        int(Reg.MSE_SHIFT): int(random.choice((0, *range(1, 10), 15))),
        int(Reg.SAMPLES): samples,
    }
    if network.input is Input.SPIKES:
        # The unassigned input kind 3 acts like spikes.
        values[int(Reg.INPUT)] = int(random.choice((Input.SPIKES, 3)))
    if network.input is Input.FRAME:
        # The first run has the maximum number of steps.
        values[int(Reg.STEPS)] = int(random.integers(1, limits.steps + 1)) if number else limits.steps
    if network.convolutions:
        values[int(Reg.CONVOLUTION_RATE)] = int(random.integers(1 << Reg.CONVOLUTION_RATE.bits)) * (rate > 0)
        values[int(Reg.BATCH)] = int(random.choice((0, 1, 2, 5)))
    for slot, layer in enumerate(network.layout(limits)[:-1]):
        values[layer_register(slot, LayerReg.FEEDBACK_SHIFT)] = int(random.integers(4 if top else 16))
        values[layer_register(slot, LayerReg.NEURON)] = int(random.integers(1 << NEURON_BITS))
        if layer.local:
            values[layer_register(slot, LayerReg.LOCAL_SHIFT)] = int(random.choice((4, *range(1, 16))))
    # Writing this register clears the state of earlier runs.
    if number and random.random() < 0.3:
        values[int(Reg.HIDDEN_LAYERS)] = len(network.hidden)
    return values


def payload(network: Network, limits: Limits, random: np.random.Generator, number: int) -> bytes:
    """Input of a run, a frame or a chunk of events, with no, few, many or all inputs active."""
    share, most = (0.3, 1.0, 0.1, 0.5, 0.0, 0.2)[number % 6], number % 6 == 1
    if network.input is Input.FRAME:
        active = np.flatnonzero(random.random(network.inputs) < share)
        values = random.integers(1, 256, len(active))
        return encode_frame_pairs(active, np.where(random.random(len(active)) < (1.0 if most else 0.2), 255, values))
    graded = network.input is Input.GRADED
    steps = 1 if graded else limits.steps if number % 3 == 0 else int(random.integers(1, limits.steps + 1))
    share = share if graded else share / 4
    active_steps = [np.flatnonzero(random.random(network.inputs) < share) for _ in range(steps)]
    if most:
        active_steps = [active_steps[0][:0]] * (steps - 1) + [np.arange(network.inputs)]
    if number % 6 == 2:
        active_steps[0] = np.array([network.inputs - 1])
    left = limits.events
    for step, active in enumerate(active_steps):
        active_steps[step] = active[:left]
        left -= len(active_steps[step])
    values_by_step = [random.integers(255 if most else 1, 256, len(active)) for active in active_steps]
    return encode_steps(Chunk.of_steps(active_steps, values_by_step if graded else None), graded=graded)
