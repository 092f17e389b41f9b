"""Normalizer-free ResNet-34 with spiking neurons, for fine-tuning under noise (paper section 5.4).

Instead of normalization, blocks track the variance of the residual stream (Brock et al. 2021): the input of a block's
branch is divided by the standard deviation of the stream at the start of the training.
"""

from torch import Tensor, nn

from opzo.reference.networks.networks import SpikingNetwork
from opzo.reference.networks.neuron import LIF
from opzo.reference.networks.synapses import TracedConv2d, TracedLinear

STAGES = ((64, 3), (128, 4), (256, 6), (512, 3))
"""Filters and blocks of each stage."""
BRANCH = 0.2
"""Factor of the branch that a block adds to the stream."""


class Block(nn.Module):
    """A branch with two convolutions of spikes, added to the stream of currents; the first of a stage halves the image.

    With cut layers the stream is cut as well: a convolution learns only from the neurons in the next block.

    Parameters
    ----------
    channels_in, channels_out, stride : int
    variance : float
        Variance of the stream at the start of the block.
    """

    def __init__(self, channels_in: int, channels_out: int, stride: int, variance: float) -> None:
        super().__init__()
        self._scale = variance**-0.5
        self.neurons_1 = LIF()
        self.synapses_1 = TracedConv2d(channels_in, channels_out, stride=stride)
        self.neurons_2 = LIF()
        self.synapses_2 = TracedConv2d(channels_out, channels_out)
        self.shortcut: nn.Module | None = None
        if stride > 1 or channels_in != channels_out:
            self.shortcut = nn.Sequential(
                nn.AvgPool2d(stride, ceil_mode=True), TracedConv2d(channels_in, channels_out, size=1)
            )

    def forward(self, stream: Tensor) -> Tensor:
        """Stream of currents of one time step, (samples, channels, height, width)."""
        spikes = self.neurons_1(stream * self._scale)
        if self.shortcut is not None:
            kept = self.shortcut(spikes)
        else:
            kept = stream.detach() if self.neurons_1.cut else stream
        after: Tensor = kept + BRANCH * self.synapses_2(self.neurons_2(self.synapses_1(spikes)))
        return after


def resnet34(shape: tuple[int, int, int], classes: int, dropout: float = 0.0) -> SpikingNetwork:
    """ResNet-34, designed for images of 224 x 224."""
    if dropout:
        raise ValueError("resnet34 has no dropout")
    channels, variance = STAGES[0][0], 1.0
    parts: list[nn.Module] = [TracedConv2d(shape[0], channels, size=7, stride=2, spikes_in=False), nn.AvgPool2d(2)]
    for stage, (filters, blocks) in enumerate(STAGES):
        for block in range(blocks):
            first = block == 0 and stage > 0
            parts.append(Block(channels, filters, 2 if first else 1, variance))
            # A convolution in the shortcut resets the variance of the stream.
            variance = (1.0 if first else variance) + BRANCH**2
            channels = filters
    parts += [LIF(), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    return SpikingNetwork(nn.Sequential(*parts), TracedLinear(channels, classes))
