"""Initial weights scaled to a firing rate, measured by the device itself."""

from collections.abc import Sequence

import numpy as np
import pytest
from golden_device import GoldenDevice

from opzo.host.driver.sample import Sample
from opzo.host.driver.state import State
from opzo.host.training.initial_rates import fit_firing_rates
from opzo.spec.events import encode_frame_pairs
from opzo.spec.network import Network
from opzo.spec.registers import Counter
from opzo.spec.rules import Rule

NETWORKS = [Network("40-24-20-16-3", 4), Network("1x8x8-4c3-p2-6c3-8c3-4", 4)]


def frames(network: Network, count: int) -> list[Sample]:
    random = np.random.default_rng(3)
    values = random.integers(1, 256, (count, network.inputs)) * (random.random((count, network.inputs)) < 0.4)
    return [
        Sample((encode_frame_pairs(np.flatnonzero(frame), frame[frame > 0]),), label=0) for frame in values.astype(int)
    ]


def rates(device: GoldenDevice, samples: Sequence[Sample]) -> list[float]:
    assert device.network is not None
    device.clear_counters()
    assert len(list(device.run(samples))) == len(samples)
    moments = len(samples) * device.network.steps
    return [
        device.counters()[Counter(Counter.SPIKES_1 + layer)] / (moments * neurons)
        for layer, neurons in enumerate(device.network.hidden)
    ]


@pytest.mark.parametrize("network", NETWORKS, ids=str)
def test_every_layer_gets_the_rate(network: Network) -> None:
    limits = network.limits(8)
    with GoldenDevice(limits) as device:
        device.configure(network, Rule.OPZO)
        state = State.initial(network, Rule.OPZO, 0, limits)
        state.write(device)
        samples = frames(network, 12)
        before = rates(device, samples)
        scales = fit_firing_rates(device, samples, 0.1)
        after = rates(device, samples)
        assert min(before) < 0.04
        assert after == pytest.approx([0.1] * len(after), abs=0.01)
        for layer, scale in enumerate(scales):
            exact = state.weights[layer] * scale
            assert np.abs(device.read_weights(layer) - exact).max() <= 0.5


def test_a_layer_that_cannot_fire_gets_the_largest_scale() -> None:
    network = NETWORKS[0]
    limits = network.limits(8)
    with GoldenDevice(limits) as device:
        device.configure(network, Rule.OPZO)
        device.write_weights(0, np.full(network.weight_shapes[0], -5, np.int16))
        scales = fit_firing_rates(device, frames(network, 4), 0.1)
        assert scales[0] == 16
        assert (device.read_weights(0) == -80).all()
