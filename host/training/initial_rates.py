"""Initial weights scaled, layer by layer, to a firing rate.

Uniform weights whose range depends only on the fan-in leave deep networks silent, or let all neurons fire: what a layer
receives depends on the rate of the layer below. The device itself measures the rates, so they include all rounding.
"""

import logging
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from opzo.host.driver.device import Device
from opzo.host.driver.row_layout import round_entries
from opzo.host.driver.sample import Sample
from opzo.spec.formats import WEIGHT
from opzo.spec.registers import Counter

logger = logging.getLogger(__name__)

FITTED_SAMPLES = 64
"""Training samples on which the rates are measured."""
TRIES = 12
"""Halvings of the range of the scale, in octaves, of each layer."""
SCALES = (1 / 16, 16.0)
"""Range of the scale."""


def fit_firing_rates(device: Device, samples: Sequence[Sample], target: float) -> list[float]:
    """Scale the weights of each hidden layer on a configured device so that it fires at ``target``; the scales.

    Layers are scaled in turn, from the first on, by a bisection of the logarithm of the scale: a rate grows with it.
    Where even the largest scale is too small, it is kept.

    Parameters
    ----------
    device : Device
        Holds the network and its initial weights.
    samples : sequence of Sample
        Samples of the training data.
    target : float
        Spikes per neuron and time step.
    """
    network = device.network
    assert network is not None
    scales = []
    for layer, neurons in enumerate(network.hidden):
        weights = device.read_weights(layer)
        low, high = np.log2(SCALES)
        for _ in range(TRIES):
            middle = (low + high) / 2
            device.write_weights(layer, _scaled(weights, 2.0**middle, device.limits.low_bits))
            rate = _spikes(device, samples, layer) / (len(samples) * network.steps * neurons)
            low, high = (low, middle) if rate > target else (middle, high)
        scales.append(float(2.0**high))
        device.write_weights(layer, _scaled(weights, scales[-1], device.limits.low_bits))
        rate = _spikes(device, samples, layer) / (len(samples) * network.steps * neurons)
        logger.info("layer %d: initial weights times %.3f, firing rate %.3f", layer + 1, scales[-1], rate)
    return scales


def _scaled(weights: NDArray[np.int16], scale: float, low_bits: int) -> NDArray[np.int16]:
    values = np.clip(np.rint(weights * scale), WEIGHT.min, WEIGHT.max).astype(np.int16)
    return round_entries(values, low_bits)


def _spikes(device: Device, samples: Sequence[Sample], layer: int) -> int:
    """Spikes of a hidden layer in a test of the samples."""
    counter = Counter(Counter.SPIKES_1 + layer)
    before = device.counters()[counter]
    for _ in device.run(iter(samples)):
        pass
    return device.counters()[counter] - before
