"""Counts of synapses of a network, for the cost of spikes and of feedback (paper, tables 5 and 7)."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d

from opzo.reference.networks.networks import SpikingNetwork
from opzo.reference.networks.neuron import LIF, reset
from opzo.reference.networks.synapses import Traced, TracedConv2d, TracedLinear


@dataclass(frozen=True)
class Synapses:
    """One layer of synapses.

    Attributes
    ----------
    source : int or None
        Layer of neurons that provides the input spikes; None: the network's input.
    weights : int
        Number of stored weights, without biases.
    connections : int
        Connected pairs of input and neuron, which is the number of multiplications per time step with dense inputs.
    inputs : int
        Number of inputs, after pooling.
    """

    source: int | None
    weights: int
    connections: int
    inputs: int


@dataclass(frozen=True)
class Wiring:
    """Neurons of each hidden layer, and all layers of synapses, of a network with ``classes`` outputs."""

    neurons: tuple[int, ...]
    synapses: tuple[Synapses, ...]
    classes: int

    def operations(self, spikes: list[float]) -> float:
        """Synaptic operations for these numbers of spikes of the hidden layers, with the mean fan-out of each.

        The network's input, of real values, is not counted, as in the paper's table 7.
        """
        return sum(
            spikes[layer.source] * layer.connections / layer.inputs
            for layer in self.synapses
            if layer.source is not None
        )


@dataclass(frozen=True)
class FeedbackCost:
    """Cost of bringing the error to all hidden layers (paper, table 5).

    Attributes
    ----------
    memory : int
        Stored numbers in addition to the weights.
    operations : int
        Multiplications per sample and time step.
    learning : int
        Multiplications per sample and time step for learning the feedback.
    """

    memory: int
    operations: int
    learning: int = 0


def wiring(network: SpikingNetwork, shape: tuple[int, int, int]) -> Wiring:
    """Count the synapses of a network for inputs of this shape, by a time step of zeros."""
    neurons: list[int] = []
    found: list[Synapses] = []

    def visit(part: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> None:
        if isinstance(part, LIF):
            neurons.append(output[0].numel())
        elif isinstance(part, Traced):
            # Modules run in the order of the signal, so a layer gets the spikes of the neurons that ran last.
            source = len(neurons) - 1 if neurons else None
            found.append(Synapses(source, _weight(part).numel(), _connections(part, inputs[0]), inputs[0][0].numel()))

    hooks = [part.register_forward_hook(visit) for part in network.modules() if isinstance(part, LIF | Traced)]
    training = network.training
    network.eval()
    with torch.no_grad():
        output = network(torch.zeros(1, *shape))
    network.train(training)
    for hook in hooks:
        hook.remove()
    reset(network)
    return Wiring(tuple(neurons), tuple(found), output.size(1))


def feedback_cost(counted: Wiring, method: str) -> FeedbackCost:
    """Cost of a method's spatial credit assignment if forward and backward synapses are separate.

    ``bp`` needs a copy of all weights except those of the first layer, and uses every connection; ``dfa``, ``dkp`` and
    ``opzo`` have a matrix of classes x neurons for each layer, which the latter two update; ``zo`` sends one number to
    all neurons, which multiply it by their noise.
    """
    direct = counted.classes * sum(counted.neurons)
    if method == "bp":
        behind = [layer for layer in counted.synapses if layer.source is not None]
        return FeedbackCost(sum(layer.weights for layer in behind), sum(layer.connections for layer in behind))
    if method == "zo":
        return FeedbackCost(0, sum(counted.neurons))
    return FeedbackCost(direct, direct, 0 if method == "dfa" else direct)


def _weight(part: Traced) -> Tensor:
    assert isinstance(part, TracedLinear | TracedConv2d)
    return part.weight


def _connections(part: Traced, x: Tensor) -> int:
    if isinstance(part, TracedConv2d):
        channels_out, channels_in, *size = part.weight.shape
        ones = x.new_ones(1, 1, *x.shape[2:])
        pairs = conv2d(ones, x.new_ones(1, 1, *size), stride=part.stride, padding=part.padding).sum()
        return int(pairs) * channels_out * channels_in
    return _weight(part).numel()
