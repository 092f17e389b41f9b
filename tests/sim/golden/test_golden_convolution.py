"""Convolution and average pooling of the golden core are PyTorch's, on integers."""

import numpy as np
import pytest
import torch
from chunked import core
from convolved import DEEP, SHALLOW, bias, double, draw_events, draw_frame, fired, linear, patches, potential
from map_arrays import input_maps, kernels, maps, of_layer

from opzo.spec.commands import RunFlag
from opzo.spec.events import Chunk
from opzo.spec.formats import BIAS_INPUT
from opzo.spec.network import Network
from opzo.spec.registers import Counter
from opzo.spec.rules import Input, Rule


def test_spikes_are_convolved_and_pooled() -> None:
    network = Network(DEEP, 1, input="spikes")
    golden, rng = core(network, Rule.OPZO), np.random.default_rng(0)
    *hidden, readout = golden.layers()
    spikes = np.zeros(len(hidden), int)
    for number in range(6):
        chunk = draw_events(rng, network, 1)
        before = golden.membrane.copy()
        answer = golden.run(chunk, 0, RunFlag.DECISION)
        below = np.zeros(network.inputs)
        below[chunk.addresses] = 1
        below = input_maps(golden, below)
        for index, layer in enumerate(hidden):
            exact = linear(golden, layer, double(below)[None])[0] + bias(golden, layer)
            current = potential(golden, layer) - (maps(of_layer(before, layer), layer) >> 1)
            np.testing.assert_array_equal(current, torch.floor(exact).numpy(), f"layer {index + 1}, run {number}")
            below = fired(golden, layer)
            spikes[index] += below.sum()
        exact = linear(golden, readout, double(below)[None])[0] + bias(golden, readout)
        np.testing.assert_array_equal(answer.outputs, torch.floor(exact).numpy().reshape(-1))
    assert (spikes > 5).all()
    assert golden.counters[Counter.MEMBRANE_SATURATIONS] == 0


def test_readout_behind_a_pool_takes_averages() -> None:
    network = Network("1x6x8-3c3-p2-4", 1, input="spikes")
    golden, rng = core(network, Rule.OPZO, 1), np.random.default_rng(1)
    hidden, readout = golden.layers()
    remainders = set()
    for _ in range(5):
        answer = golden.run(draw_events(rng, network, 1), 0, RunFlag.DECISION)
        exact = linear(golden, readout, double(fired(golden, hidden))[None])[0] + bias(golden, readout)
        np.testing.assert_array_equal(answer.outputs, torch.floor(exact).numpy().reshape(-1))
        remainders |= set((exact - exact.floor()).unique().tolist())
    assert remainders == {0, 0.25, 0.5, 0.75}


@pytest.mark.parametrize("net", SHALLOW)
def test_frames_and_graded_events_are_convolved(net: str) -> None:
    for kind, bias_input in ((Input.FRAME, BIAS_INPUT), (Input.GRADED, 256)):
        network = Network(net, 1, input=kind)
        golden, rng = core(network, Rule.OPZO, 2), np.random.default_rng(2)
        layer = golden.layers()[0]
        # Products of multiples of 16 are exact.
        golden.weights(layer)[...] &= ~15
        chunk, values = draw_frame(rng, network)
        if kind is Input.GRADED:
            chunk = Chunk.of_steps([chunk.addresses], [chunk.values])
        golden.run(chunk, 0, RunFlag.FRESH)
        exact = linear(golden, layer, double(input_maps(golden, values))[None])[0] + bias_input * bias(golden, layer)
        np.testing.assert_array_equal(potential(golden, layer), torch.floor(exact / 256).numpy())


@pytest.mark.parametrize("net", SHALLOW)
def test_each_product_of_a_frame_floors(net: str) -> None:
    network = Network(net, 1)
    golden, rng = core(network, Rule.OPZO, 3), np.random.default_rng(3)
    layer = golden.layers()[0]
    chunk, values = draw_frame(rng, network)
    golden.run(chunk, 0, RunFlag.FRESH)
    weight, offset = kernels(golden.weights(layer), layer)
    seen = patches(input_maps(golden, values), layer).astype(np.int64)
    products = weight.reshape(layer.neurons, -1, 1) * seen >> 4
    exact = products.sum(axis=1) + (offset[:, None] * BIAS_INPUT >> 4) >> 4
    np.testing.assert_array_equal(potential(golden, layer).reshape(layer.neurons, -1), exact)
