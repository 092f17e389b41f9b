"""A floating-point network with the chip's neurons, as a PyTorch module."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from opzo.host.exchange.chip_network import Forward
from opzo.host.exchange.float_layers import LEAK, FloatLayer
from opzo.spec.formats import INPUT_BITS
from opzo.spec.network import Network
from opzo.spec.rules import Input


def fire(current: Tensor) -> tuple[Tensor, Tensor]:
    """Membrane potentials before the reset, and spikes, (samples, steps, n); potentials overwrite ``current``."""
    v, spikes = torch.zeros_like(current[:, 0]), torch.empty_like(current)
    for t in range(current.size(1)):
        u = current[:, t].add_(v, alpha=LEAK)
        torch.sub(u, torch.ge(u, 1.0, out=spikes[:, t]), out=v)
    return current, spikes


class FloatNetwork(nn.ModuleList):
    """Linear layers with leaky integrate-and-fire neurons between them: threshold 1, leak 1/2, soft reset.

    The state dict is that of the linear layers: ``0.weight`` (n_out, n_in), ``0.bias``, ``1.weight``... For inference
    only: no gradients are recorded.

    Parameters
    ----------
    network : Network
    """

    def __init__(self, network: Network) -> None:
        super().__init__(nn.Linear(rows - 1, neurons) for rows, neurons in network.weight_shapes)
        self.network = network

    @classmethod
    def of(cls, network: Network, layers: Sequence[FloatLayer]) -> "FloatNetwork":
        """Network of layers in the chip's conventions, in double precision."""
        module = cls(network).double()
        tensors = {}
        for number, layer in enumerate(layers):
            tensors[f"{number}.weight"] = torch.from_numpy(layer.weight)
            tensors[f"{number}.bias"] = torch.from_numpy(layer.bias)
        module.load_state_dict(tensors)
        return module

    @torch.no_grad()
    def forward(self, x: Tensor) -> Forward:
        """Run frames (samples, inputs) or events (samples, steps, inputs); 1.0 is a spike or value 256."""
        first, *layers = self
        current = first(x)
        if self.network.input is Input.FRAME:
            current = current[:, None].repeat(1, self.network.steps, 1)
        potentials, spikes = [], []
        for layer in layers:
            u, s = fire(current)
            potentials.append(u)
            spikes.append(s)
            current = layer(s)
        return Forward(potentials, spikes, current)

    def __call__(self, *arguments: Any) -> Forward:
        """Typed call of ``forward``."""
        result: Forward = super().__call__(*arguments)
        return result


def signals(network: Network, values: Tensor) -> Tensor:
    """Convert inputs of a ChipNetwork to those of a FloatNetwork, in double precision."""
    return values.double() / (1 if network.input is Input.SPIKES else 1 << INPUT_BITS)
