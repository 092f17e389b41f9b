"""Weighted sums of one layer in PyTorch: linear or a convolution, over an average pool or not."""

from torch import Tensor
from torch.nn.functional import avg_pool2d, conv2d, linear

from opzo.spec.geometry import CELL
from opzo.spec.layers import POOL, LayerShape


def weighted_sum(shape: LayerShape, x: Tensor, weight: Tensor) -> Tensor:
    """Sums (..., n_out) of the presynaptic values ``x`` (..., n_in), without a bias.

    A pool below the layer adds the four values of a cell; it does not divide them. Integers stay exact.

    Parameters
    ----------
    shape : LayerShape
    x : (..., n_in)
        Neurons of the layer below, channel-first.
    weight : (n_out, n_in) or (channels, channels below, kernel, kernel)
        As of a `FloatLayer`.
    """
    before = x.shape[:-1]
    if shape.pool:
        x = avg_pool2d(x.reshape(-1, *shape.below.shape), POOL, divisor_override=1).reshape(*before, -1)
    if not shape.kernel:
        return linear(x, weight)
    return conv2d(x.reshape(-1, *shape.seen.shape), weight, padding=shape.kernel // 2).reshape(*before, -1)


def cells(shape: LayerShape) -> int:
    """By what a pool divides the sums of `weighted_sum`: 4, or 1 without a pool."""
    return CELL if shape.pool else 1


def of_neurons(shape: LayerShape, of_channels: Tensor) -> Tensor:
    """Values (n_out,) of all neurons, channel-first, from those (channels,) of each channel, such as biases."""
    return of_channels.repeat_interleave(shape.map.positions)
