"""Gradients of convolutions of the golden core are autograd's, up to stated rounding."""

import numpy as np
import pytest
import torch
from chunked import core, still
from convolved import DEEP, SHALLOW, double, draw_events, draw_frame, fired, learned, patches
from map_arrays import input_maps, maps, of_layer
from torch.nn import functional

from opzo.spec.commands import RunFlag
from opzo.spec.formats import BIAS_INPUT, FRAME_CREDIT, INPUT_BITS, THRESHOLD, UPDATE_FRAC_BITS
from opzo.spec.layout import Layer
from opzo.spec.network import Network
from opzo.spec.registers import Reg
from opzo.spec.rules import Rule


def autograd(layer: Layer, below: torch.Tensor, credits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Gradient of the weights and biases of PyTorch's layer over maps (steps, channels, height, width)."""
    weight = torch.zeros(layer.neurons, layer.shape.seen.channels, *layer.shape.window, dtype=torch.float64)
    offset = torch.zeros(layer.neurons, dtype=torch.float64)
    weight.requires_grad_(), offset.requires_grad_()
    seen = functional.avg_pool2d(below, 2) if layer.shape.pool else below
    out = functional.conv2d(seen, weight, offset, padding=layer.shape.kernel // 2)
    (out * double(credits)).sum().backward()  # type: ignore[no-untyped-call]
    assert weight.grad is not None
    assert offset.grad is not None
    return weight.grad.numpy(), offset.grad.numpy()


def step_maps(histories: np.ndarray, steps: int) -> np.ndarray:
    """Spikes by step, (steps, ...)."""
    return np.stack([histories >> step & 1 for step in range(steps)])


@pytest.mark.parametrize("local", [0, 3])
def test_gradients_of_spikes_are_autograds(local: int) -> None:
    network = Network(DEEP, 6, local, "spikes")
    rng = np.random.default_rng(4)
    did = learned(core(network, Rule.OPZO, 4), draw_events(rng, network, 6))
    below = step_maps(input_maps(did.golden, did.golden.input_history.reshape(-1)[: network.inputs]), 6)
    for index in range(3):
        layer = did.run.hidden[index].layer
        weight, offset = autograd(layer, double(below), did.filtered(index))
        # Behind a pool gradients count quarters.
        unit = 4 if layer.shape.pool else 1
        found = did.gradients(index)
        np.testing.assert_array_equal(found[0], unit * weight, f"layer {index + 1}")
        np.testing.assert_array_equal(found[1], unit * offset, f"layer {index + 1}")
        assert np.count_nonzero(weight) > weight.size // 4
        below = step_maps(maps(of_layer(did.golden.history, layer), layer), 6)


def test_gradients_with_traces_are_autograds_up_to_rounding() -> None:
    network = Network(DEEP, 3, input="spikes")
    golden, rng = core(network, Rule.DFA, 5), np.random.default_rng(5)
    golden.run(draw_events(rng, network, 5), 0, RunFlag.FRESH)
    did = learned(golden, draw_events(rng, network, 3), RunFlag.TRAIN)
    inputs = did.golden.input_history, did.golden.input_trace
    history, trace = (input_maps(did.golden, values.reshape(-1)[: network.inputs]) for values in inputs)
    for index in range(3):
        layer = did.run.hidden[index].layer
        credits = did.filtered(index)
        below = step_maps(history, 3) + np.stack([trace, 0 * trace, 0 * trace]) / (1 << INPUT_BITS)
        weight, offset = autograd(layer, double(below), credits)
        offset += credits[0].sum(axis=(1, 2)) * did.golden.bias_trace / (1 << INPUT_BITS)
        unit = 4 if layer.shape.pool else 1
        # Half a unit a neuron that adds to the sum; a bias is rounded before it is multiplied by 4.
        most = 0.5 * unit * layer.positions
        assert abs(did.gradients(index)[0] - unit * weight).max() <= most
        assert abs(did.gradients(index)[1] - unit * offset).max() <= most
        assert abs(weight).max() > 20 * most
        assert trace.any()
        history, trace = (maps(of_layer(array, layer), layer) for array in (did.golden.history, did.golden.trace))


@pytest.mark.parametrize("net", SHALLOW)
def test_gradients_of_frames_are_autograds_up_to_rounding(net: str) -> None:
    network = Network(net, 4)
    rng = np.random.default_rng(6)
    chunk, values = draw_frame(rng, network)
    golden = core(network, Rule.DFA, 6)
    golden.write_register(Reg.RATE, 20)
    did = learned(golden, chunk)
    layer = did.run.hidden[0].layer
    sums = did.filtered(0).sum(axis=0)
    assert abs(sums).max() < FRAME_CREDIT.max
    image = input_maps(did.golden, values)
    found, offset = did.gradients(0)
    weight, total = autograd(layer, double(image)[None], sums[None])
    assert abs(found - weight / 256).max() <= 0.5 * layer.positions
    assert abs(offset - total * BIAS_INPUT / 256).max() <= 0.5 * layer.positions
    # Each position rounds half up.
    each = sums.reshape(layer.neurons, 1, -1).astype(np.int64) * patches(image, layer).astype(np.int64) + 128 >> 8
    np.testing.assert_array_equal(found.reshape(layer.neurons, -1), each.sum(axis=2))
    np.testing.assert_array_equal(offset, (sums * BIAS_INPUT + 128 >> 8).sum(axis=(1, 2)))
    assert found.any()


def test_dense_weights_behind_a_pool_change_by_quarters() -> None:
    network = Network("1x6x4-3c3-p2-4", 1, input="spikes")
    golden, rng = core(network, Rule.DFA, 7), np.random.default_rng(7)
    still(golden)
    golden.weights(golden.layers()[0])[:, -1] = THRESHOLD
    did = learned(golden, draw_events(rng, network, 1))
    hidden, readout = golden.layers()
    spikes = fired(golden, hidden)
    cells = spikes.reshape(3, 3, 2, 2, 2).transpose(1, 3, 0, 2, 4).reshape(-1, 4)
    credits = did.run.readout_credits[0].reshape(-1)[:4]
    before, after = (np.moveaxis(one.weights(readout), 0, 1).reshape(19, -1) for one in (did.before, golden))
    expected = before.astype(np.int64)
    for part in range(4):
        # The neurons of a cell change the weight one after the other; each floors.
        update = credits + 2 >> 2
        expected[:-1] = np.where(cells[:, [part]], (expected[:-1] << UPDATE_FRAC_BITS) - update >> 11, expected[:-1])
    expected[-1] = (expected[-1] << UPDATE_FRAC_BITS) - credits >> 11
    np.testing.assert_array_equal(after, expected)
    assert set(cells.sum(axis=1)) >= {1, 2, 3}
    assert abs(after - before).max() > 2
