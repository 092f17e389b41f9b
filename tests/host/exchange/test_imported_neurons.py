"""Neurons of other frameworks: leak, reset and output, mapped to the nearest of the chip."""

import nir
import numpy as np
import pytest
import torch
from test_convolutions import FLAT, READOUT, conv, graph, lif, pool, random_samples, random_weights
from torch import Tensor

from opzo.host.driver.device import open_device
from opzo.host.driver.input_order import channel_last_shape
from opzo.host.driver.state import State
from opzo.host.exchange.chip_network import ChipNetwork
from opzo.host.exchange.float_layers import InputScaling
from opzo.host.exchange.float_network import FloatNetwork
from opzo.host.exchange.neurons import FloatNeurons
from opzo.host.exchange.nir_graph import from_nir, to_nir
from opzo.host.exchange.pytorch import from_state_dict, to_chip
from opzo.host.training.checkpoint import Checkpoint
from opzo.spec.errors import OpzoError
from opzo.spec.network import Network
from opzo.spec.neurons import Leak, Reset
from opzo.spec.rules import Input, Rule


@pytest.mark.parametrize("reset", list(Reset))
@pytest.mark.parametrize("leak", list(Leak))
def test_chip_network_has_the_golden_models_neurons(leak: Leak, reset: Reset) -> None:
    network = Network("2x2x2-3c1-p2-5-2", 5, input=Input.SPIKES, leak=(leak, Leak.HALF), reset=(reset, Reset.SUBTRACT))
    weights, samples = random_weights(network, 7, scale=0.1), random_samples(network, 6, 8)
    ours = ChipNetwork(network, weights)(torch.from_numpy(samples.dense(np.arange(6))))
    with open_device("golden", network, 4) as device:
        device.configure(network, Rule.OPZO)
        for layer, matrix in enumerate(weights):
            device.write_weights(layer, matrix)
        sent = samples.samples(channel_last=channel_last_shape(network))
        results = [result.outputs for result in device.run(sent, outputs=True)]
    np.testing.assert_array_equal(ours.outputs.sum(1).numpy(), results)
    assert 0.05 < ours.spikes[0].mean() < 0.95


@pytest.mark.parametrize("reset", ["subtract", "zero", "subtract,zero,zero,subtract,zero"])
def test_graphs_keep_leak_and_reset(reset: str) -> None:
    before = Network("4-3-3-3-3-3-2", 5, leak=list(Leak), reset=reset.split(","))
    state = State.initial(before, Rule.DFA, 1, before.limits(8))
    model = from_nir(to_nir(Checkpoint(before, Rule.DFA, state)))
    assert [some.nearest for some in model.neurons] == list(before.leak)
    assert tuple(some.reset for some in model.neurons) == before.reset
    assert all(some.exact for some in model.neurons)
    for made, matrix in zip(to_chip(model.layers, before)[0], state.weights, strict=True):
        np.testing.assert_array_equal(made, matrix)


@pytest.mark.parametrize(
    ("leak", "nearest"),
    [(0.0, "1/2"), (0.6, "1/2"), (0.63, "3/4"), (0.9, "7/8"), (0.95, "15/16"), (0.96, "15/16"), (0.97, "1")],
)
def test_nearest_leak(leak: float, nearest: str, caplog: pytest.LogCaptureFixture) -> None:
    neurons = FloatNeurons("lif", leak)
    assert neurons.nearest.text == nearest
    assert not neurons.exact
    neurons.warn()
    assert f"neurons 'lif': leak {leak:.4g} becomes {nearest}, the nearest of the chip" in caplog.text


def test_what_the_chip_has_needs_no_warning(caplog: pytest.LogCaptureFixture) -> None:
    FloatNeurons("lif", 0.875).warn()
    assert not caplog.text


DENSE = {"0.weight": torch.ones(3, 4), "1.weight": torch.ones(2, 3)}


def leaky(name: str, beta: float, threshold: float = 1.0, reset: int = 0) -> dict[str, Tensor]:
    """Entries of `snn.Leaky`."""
    values = {"threshold": threshold, "graded_spikes_factor": 1.0, "reset_mechanism_val": reset, "beta": beta}
    return {f"{name}.{key}": torch.tensor(value) for key, value in values.items()}


def test_neurons_of_snntorch_are_read(caplog: pytest.LogCaptureFixture) -> None:
    model = from_state_dict(DENSE | leaky("lif1", 0.9, 2.0))
    (neurons,) = model.neurons
    assert (neurons.name, neurons.reset) == ("lif1", Reset.SUBTRACT)
    assert (neurons.leak, neurons.amount) == pytest.approx((0.9, 1 / 0.9))
    assert model.layers[0].weight.max() == 0.5
    assert from_state_dict(DENSE | leaky("lif1", 0.5, reset=1)).neurons[0].reset is Reset.ZERO
    model.neurons[0].warn()
    assert "leak 0.9 becomes 7/8" in caplog.text
    assert "a spike subtracts the threshold after the leak, on the chip before" in caplog.text


def test_float_network_computes_what_snntorch_does() -> None:
    """Eq. of `snn.Leaky`: mem[t] = beta mem[t - 1] + I - spike[t - 1] threshold."""
    rng = np.random.default_rng(1)
    x = torch.from_numpy(rng.integers(0, 2, (5, 8, 4)).astype(float))
    tensors = DENSE | {"0.weight": torch.from_numpy(rng.uniform(-1, 2, (3, 4)))}
    model = from_state_dict(tensors | leaky("lif1", 0.9))
    network = Network((4, 3, 2), 8, input=Input.SPIKES)
    ours = FloatNetwork.of(network, model.layers, model.neurons)(x)
    mem, spikes = torch.zeros(5, 3).double(), torch.zeros(5, 3).double()
    for t in range(8):
        mem = 0.9 * mem + x[:, t] @ tensors["0.weight"].double().T - spikes
        spikes = (mem >= 1).double()
        torch.testing.assert_close(ours.potentials[0][:, t], mem, rtol=0, atol=1e-6)
    assert spikes.any()


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        (leaky("lif1", 0.5) | leaky("lif2", 0.5), "'lif2', at the output, keeps 0.5 of its potential"),
        (leaky("lif1", 0.5, reset=2), "the neurons 'lif1' have no reset"),
        (leaky("lif1", 0.5) | {"lif1.graded_spikes_factor": torch.tensor(2.0)}, "graded_spikes_factor' is not 1"),
        (leaky("lif1", 0.5) | {"lif1.beta": torch.tensor([0.5, 0.6])}, "'lif1.beta' is 0.5 to 0.6; .* one beta"),
        (leaky("a", 0.5) | leaky("b", 0.5) | leaky("c", 1), r"neurons after 3 layers \(a, b, c\), but 1 hidden layers"),
    ],
)
def test_neurons_of_snntorch_that_the_chip_does_not_have(tensors: dict[str, Tensor], message: str) -> None:
    with pytest.raises(OpzoError, match=message):
        from_state_dict(DENSE | tensors)


def test_output_without_leak_is_the_readout(caplog: pytest.LogCaptureFixture) -> None:
    model = from_state_dict(DENSE | leaky("lif1", 0.5) | leaky("lif2", 1.0, 4.0))
    assert len(model.neurons) == 1
    assert model.layers[1].weight.max() == 0.25
    assert "'lif2', at the output, is left out" in caplog.text
    # Its potential is then exactly the sum of the readouts.
    without = from_state_dict(DENSE | leaky("lif1", 0.5) | leaky("lif2", 1, reset=2))
    assert len(without.neurons) == 1
    nodes = conv(3, 2), lif(3, 4, 4), pool(), FLAT, READOUT
    ended = from_nir(graph(*nodes, nir.IF(*np.full((2, 3), 2.0))))
    assert ended.net == "2x4x4-3c3-p2-3"
    assert ended.layers[1].weight.max() == 1
    assert "node 'if', at the output, is left out" in caplog.text


def cuba(tau_syn: float, n: int = 5) -> nir.CubaLIF:
    """Neurons whose synapse passes on ``w_in`` 3."""
    one = np.ones(n)
    return nir.CubaLIF(tau_syn * one, 4e-3 * one, 4 * one, 0 * one, one, w_in=3 * one)


def test_synapse_without_memory_is_a_gain() -> None:
    made = graph(nir.Linear(np.ones((5, 6))), cuba(1e-3), nir.Linear(np.ones((3, 5))), shape=(6,))
    model = from_nir(made)
    assert model.layers[0].weight.max() == 3
    assert model.neurons[0].leak == 0.75


@pytest.mark.parametrize(
    ("stated", "given", "reset"),
    [
        (None, None, Reset.ZERO),
        ("subtract", None, Reset.SUBTRACT),
        (None, Reset.SUBTRACT, Reset.SUBTRACT),
        ("subtract", Reset.ZERO, Reset.ZERO),
    ],
)
def test_reset_is_that_of_nir_unless_stated(
    stated: str | None, given: Reset | None, reset: Reset, caplog: pytest.LogCaptureFixture
) -> None:
    made = graph(conv(3, 2), lif(3, 4, 4), pool(), FLAT, READOUT)
    made.metadata = {"dt": 1e-3} | ({"reset": stated} if stated else {})
    assert from_nir(made, reset=given).neurons[0].reset is reset
    assert ("give --neuron-reset subtract" in caplog.text) == (stated is None and given is None)


def test_first_convolution_with_a_stride_is_rearranged() -> None:
    nodes = conv(3, 2, 5, stride=2, padding=1, input_shape=(10, 10)), lif(3, 4, 4), pool(), FLAT, READOUT
    model = from_nir(graph(*nodes, shape=(2, 10, 10)))
    assert (model.net, model.strided) == ("32x4x4-3c3-p2-3", "5s2p1")
    assert model.layers[0].weight.sum() > 3 * 2 * 25
    with pytest.raises(OpzoError, match="mean of the inputs cannot be folded into the convolution 'conv2d', which has"):
        from_nir(graph(*nodes, shape=(2, 10, 10)), scaling=InputScaling(mean=0.5))
