"""A floating-point network with the chip's neurons, as a PyTorch module."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from opzo.host.exchange.chip_network import Forward
from opzo.host.exchange.float_layers import FloatLayer
from opzo.host.exchange.neurons import FloatNeurons, of_chip
from opzo.host.exchange.weighted_sum import cells, of_neurons, weighted_sum
from opzo.spec.formats import INPUT_BITS
from opzo.spec.network import Network
from opzo.spec.neurons import Reset
from opzo.spec.rules import Input

USUAL = FloatNeurons("usual")
"""Neurons with leak 1/2 that subtract the threshold."""


def fire(current: Tensor, neurons: FloatNeurons = USUAL) -> tuple[Tensor, Tensor]:
    """Membrane potentials before the reset, and spikes, (samples, steps, n); potentials overwrite ``current``."""
    v, spikes = torch.zeros_like(current[:, 0]), torch.empty_like(current)
    for t in range(current.size(1)):
        u = current[:, t].add_(v, alpha=neurons.leak)
        torch.ge(u, 1.0, out=spikes[:, t])
        if neurons.reset is Reset.ZERO:
            torch.mul(u, 1 - spikes[:, t], out=v)
        else:
            torch.sub(u, spikes[:, t], alpha=neurons.amount, out=v)
    return current, spikes


class FloatNetwork(nn.ModuleList):
    """Linear layers and convolutions with leaky integrate-and-fire neurons between them.

    Threshold 1; leak and reset of the network, or others. The state dict is that of the layers: ``0.weight`` (n_out,
    n_in) or (channels, channels below, kernel, kernel), ``0.bias``, ``1.weight``... For inference only: no gradients
    are recorded.

    Parameters
    ----------
    network : Network
    neurons : sequence of FloatNeurons or None
        Of each hidden layer; None: those of ``network``.
    """

    def __init__(self, network: Network, neurons: Sequence[FloatNeurons] | None = None) -> None:
        super().__init__(
            nn.Conv2d(shape.seen.channels, shape.map.channels, shape.kernel, padding="same")
            if shape.kernel
            else nn.Linear(shape.fan_in, shape.map.channels)
            for shape in network.layers
        )
        self.network = network
        self.neurons = of_chip(network) if neurons is None else list(neurons)

    @classmethod
    def of(
        cls, network: Network, layers: Sequence[FloatLayer], neurons: Sequence[FloatNeurons] | None = None
    ) -> "FloatNetwork":
        """Network of layers in the chip's conventions, in double precision."""
        module = cls(network, neurons).double()
        tensors = {}
        for number, layer in enumerate(layers):
            tensors[f"{number}.weight"] = torch.from_numpy(layer.weight)
            tensors[f"{number}.bias"] = torch.from_numpy(layer.bias)
        module.load_state_dict(tensors)
        return module

    @torch.no_grad()
    def forward(self, x: Tensor) -> Forward:
        """Run frames (samples, inputs) or events (samples, steps, inputs); 1.0 is a spike or value 256.

        Inputs of a convolution, and neurons of its map, are channel-first.
        """
        current = self._currents(0, x)
        if self.network.input is Input.FRAME:
            current = current[:, None].repeat(1, self.network.steps, 1)
        potentials, spikes = [], []
        for layer in range(1, len(self)):
            u, s = fire(current, self.neurons[layer - 1])
            potentials.append(u)
            spikes.append(s)
            current = self._currents(layer, s)
        return Forward(potentials, spikes, current)

    def _currents(self, layer: int, x: Tensor) -> Tensor:
        shape = self.network.layers[layer]
        weight, bias = (self.get_parameter(f"{layer}.{kind}") for kind in ("weight", "bias"))
        return weighted_sum(shape, x, weight / cells(shape)) + of_neurons(shape, bias)

    def __call__(self, *arguments: Any) -> Forward:
        """Typed call of ``forward``."""
        result: Forward = super().__call__(*arguments)
        return result


def signals(network: Network, values: Tensor) -> Tensor:
    """Convert inputs of a ChipNetwork to those of a FloatNetwork, in double precision."""
    return values.double() / (1 if network.input is Input.SPIKES else 1 << INPUT_BITS)
