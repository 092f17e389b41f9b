"""The paper's networks: fully connected, and convolutional with average pools (appendix C.2.2)."""

import torch
from torch import Tensor, nn

from opzo.reference.networks.neuron import LIF, Stateful
from opzo.reference.networks.synapses import TracedConv2d, TracedLinear

CONV2 = (8, "pool", 16, "pool")
CONV3 = (16, "pool", 32, "pool", 64, "pool")
"""Networks that the chip trains: ``8c3-p2-16c3-p2`` and ``16c3-p2-32c3-p2-64c3-p2``."""
CONV5 = (128, "pool", 256, "pool", 512, "pool", 512)
CONV9 = (64, 128, "pool", 256, 256, "pool", 512, 512, "pool", 512, 512)
CONV9_INTERMEDIATE = 3
"""Layer of neurons, from 0, with the readout of intermediate global learning: after the fourth convolution."""


class SampleDropout(Stateful):
    """Dropout with the same mask in all time steps of a sample.

    Parameters
    ----------
    rate : float
        Dropout rate.
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate
        self._mask: Tensor | None = None

    def reset(self) -> None:
        """Clear the state of the last sample."""
        self._mask = None

    def forward(self, x: Tensor) -> Tensor:
        """Mask and scale."""
        if not self.training or not self.rate:
            return x
        if self._mask is None:
            self._mask = torch.empty_like(x).bernoulli_(1 - self.rate).div_(1 - self.rate)
        return x * self._mask


class SpikingNetwork(nn.Module):
    """Hidden layers and a readout without memory; one call is one time step.

    Parameters
    ----------
    body : Module
        Maps the input of a time step (samples, channels, height, width) to the input of the readout.
    read_out : TracedLinear
        Its name is part of checkpoints.
    """

    def __init__(self, body: nn.Module, read_out: TracedLinear) -> None:
        super().__init__()
        self.body, self.read_out = body, read_out

    def forward(self, x: Tensor) -> Tensor:
        """Outputs ``o[t]``, (samples, classes)."""
        output: Tensor = self.read_out(self.body(x))
        return output


def fully_connected(
    shape: tuple[int, int, int], classes: int, hidden: tuple[int, ...], dropout: float
) -> SpikingNetwork:
    """Fully connected layers of these sizes, with dropout after each."""
    parts: list[nn.Module] = [nn.Flatten()]
    n_in = torch.Size(shape).numel()
    for n in hidden:
        parts += [TracedLinear(n_in, n), LIF(), SampleDropout(dropout)]
        n_in = n
    return SpikingNetwork(nn.Sequential(*parts), TracedLinear(n_in, classes))


def convolutional(
    shape: tuple[int, int, int], classes: int, layers: tuple[int | str, ...], dropout: float
) -> SpikingNetwork:
    """3x3 convolutions with these numbers of filters, 2x2 average pools, and the readout."""
    channels, height, width = shape
    parts: list[nn.Module] = []
    for layer in layers:
        if layer == "pool":
            parts.append(nn.AvgPool2d(2))
            height, width = height // 2, width // 2
        else:
            parts += [TracedConv2d(channels, int(layer), spikes_in=bool(parts)), LIF(), SampleDropout(dropout)]
            channels = int(layer)
    return SpikingNetwork(nn.Sequential(*parts, nn.Flatten()), TracedLinear(channels * height * width, classes))
