"""Layers of a floating-point network in the chip's conventions, and their conversion to and from the chip's weights.

Conventions: inputs are value / 256 (a spike is 1.0), threshold 1, readouts without memory. Other conventions are folded
into the weights where that is exact.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from opzo.spec.errors import OpzoError
from opzo.spec.formats import BIAS_INPUT, INPUT_BITS, ROW_LOW_BITS, SPIKE_INPUT, WEIGHT
from opzo.spec.layers import KERNELS, LayerShape
from opzo.spec.network import Network
from opzo.spec.rules import Input

Floats = NDArray[np.float64]
BIAS = BIAS_INPUT / (1 << INPUT_BITS)
"""Input value of the bias row of the first layer."""
LARGEST = 1e30
"""Limit of weights; their squares are still finite."""


@dataclass(frozen=True)
class FloatLayer:
    """One linear layer or convolution; OpzoError, naming it, if shapes do not match or a number is not finite.

    Parameters
    ----------
    name : str
        Name for messages.
    weight : float64 (n_out, n_in) or (n_out, channels, kernel, kernel)
        Of a linear layer, whose inputs are channel-first (channel, row, column) where they come from a map; or of a
        convolution of stride 1, padded with 0 to keep height and width.
    bias : float64 (n_out,)
    """

    name: str
    weight: Floats
    bias: Floats

    def __post_init__(self) -> None:
        if self.weight.ndim not in (2, 4) or not self.weight.size:
            raise OpzoError(
                f"layer '{self.name}' has weights of shape {self.weight.shape}; the chip has only linear layers, "
                "(n_out, n_in), and convolutions in two dimensions, (n_out, n_in, kernel, kernel)"
            )
        height, width = self.weight.shape[2:] or (1, 1)
        if height != width or height not in KERNELS:
            raise OpzoError(
                f"layer '{self.name}' has a kernel of {height} x {width}; those of the chip are square, of side 1, 3 "
                "or 5: pad the kernel with 0"
            )
        if self.bias.shape != self.weight.shape[:1]:
            raise OpzoError(
                f"layer '{self.name}' has {len(self.weight)} neurons and a bias of shape {self.bias.shape}; "
                "give one bias per neuron, or none"
            )
        if not (np.isfinite(self.weight).all() and np.isfinite(self.bias).all()):
            raise OpzoError(
                f"layer '{self.name}' has weights that are not finite; train the network again, or check "
                "threshold, mean and std"
            )
        if max(abs(self.weight).max(), abs(self.bias).max()) > LARGEST:
            raise OpzoError(f"layer '{self.name}' has weights beyond {LARGEST:g}; the chip's are below 8")

    def scaled(self, gain: ArrayLike, offset: ArrayLike = 0.0) -> "FloatLayer":
        """Layer whose output is ``gain`` x output + ``offset``, each a number or (n_out,)."""
        gain = np.asarray(gain, float)
        with np.errstate(over="ignore", invalid="ignore"):
            weight = self.weight * gain.reshape(-1, *[1] * (self.weight.ndim - 1))
            bias = self.bias * gain + offset
        return replace(self, weight=weight, bias=bias)

    @property
    def convolution(self) -> bool:
        """Whether it is a convolution."""
        return self.weight.ndim > 2


@dataclass(frozen=True)
class InputScaling:
    """Input normalization of a floating-point network: (value / one - mean) / std for the chip's input values.

    Parameters
    ----------
    one : float
        Value that becomes 1.0: 256 is the chip's convention (also for a spike), 255 that of torchvision.
    mean, std : float or (n_in,)
        Mean and standard deviation of the subsequent normalization; for a convolution, n_in is its channels.
    """

    one: float = SPIKE_INPUT
    mean: ArrayLike = 0.0
    std: ArrayLike = 1.0

    def __post_init__(self) -> None:
        if not 0 < self.one < np.inf:
            raise OpzoError(f"the input value for 1.0 is {self.one}; it must be more than 0")
        if not (np.all(np.asarray(self.std) > 0) and np.isfinite(self.std).all() and np.isfinite(self.mean).all()):
            raise OpzoError("mean and std of the inputs must be finite, and std more than 0")

    def fold(self, layer: FloatLayer) -> FloatLayer:
        """Fold the normalization into the first layer, which then takes value / 256."""
        n_in = layer.weight.shape[1]
        try:
            mean, std = (np.broadcast_to(np.asarray(some, float).ravel(), (n_in,)) for some in (self.mean, self.std))
        except ValueError:
            raise OpzoError(
                f"mean and std of the inputs have shapes {np.shape(self.mean)} and {np.shape(self.std)}; give a number "
                f"or one for each of the {n_in} inputs"
            ) from None
        if mean.any() and layer.weight.shape[2:] not in ((), (1, 1)):
            raise OpzoError(
                f"the mean of the inputs cannot be folded into the convolution '{layer.name}': its padding is 0 after "
                "the mean is subtracted, on the chip before; train with mean 0"
            )
        one_each = (1, n_in, *[1] * (layer.weight.ndim - 2))
        with np.errstate(over="ignore", invalid="ignore"):
            weight = layer.weight / std.reshape(one_each)
            scaled = weight * (SPIKE_INPUT / self.one)
            bias = layer.bias - (weight * mean.reshape(one_each)).reshape(len(weight), -1).sum(1)
        return replace(layer, weight=scaled, bias=bias)


def sizes_of(layers: Sequence[FloatLayer]) -> tuple[int, ...]:
    """Inputs, hidden neurons ..., classes of linear layers; OpzoError if a layer does not match the previous one."""
    for before, layer in pairwise(layers):
        if layer.weight.shape[1] != len(before.weight):
            raise OpzoError(
                f"layer '{layer.name}' takes {layer.weight.shape[1]} inputs, but '{before.name}' before it has "
                f"{len(before.weight)} neurons; give consecutive layers"
            )
    return (layers[0].weight.shape[1], *(len(layer.weight) for layer in layers))


def weight_of_rows(shape: LayerShape, rows: NDArray[Any]) -> NDArray[Any]:
    """Weights as in a `FloatLayer`, channel-first, from the chip's rows (fan_in, n_out), channel-last."""
    height, width = shape.window
    weight = np.ascontiguousarray(rows.reshape(height, width, shape.seen.channels, -1).transpose(3, 2, 0, 1))
    return weight if shape.kernel else weight.reshape(len(weight), -1)


def rows_of_weight(shape: LayerShape, weight: NDArray[Any]) -> NDArray[Any]:
    """Inverse of `weight_of_rows`."""
    by_channel = weight.reshape(len(weight), shape.seen.channels, *shape.window)
    return by_channel.transpose(2, 3, 1, 0).reshape(-1, len(weight))


def layers_of_chip(network: Network, weights: Iterable[NDArray[np.int16]]) -> list[FloatLayer]:
    """Layers with the exact values of weights (n_in + 1, n_out) in Q3.12, which fit single precision."""
    layers = [
        FloatLayer(str(number), weight_of_rows(shape, matrix[:-1]) / WEIGHT.one, matrix[-1] / WEIGHT.one)
        for number, (shape, matrix) in enumerate(zip(network.layers, weights, strict=True))
    ]
    layers[0] = replace(layers[0], bias=layers[0].bias * _bias_input(network))
    return layers


def exact_matrices(network: Network, layers: Sequence[FloatLayer]) -> list[Floats]:
    """Exact weights (n_in + 1, n_out) for the chip, in units of 1.0; the last row is the bias.

    OpzoError if ``layers`` do not match ``network``.
    """
    if not network.convolutions and not any(layer.convolution for layer in layers):
        sizes = sizes_of(layers)
        if sizes != network.sizes:
            raise OpzoError(f"the layers have sizes {'-'.join(map(str, sizes))}, not {network}; leave --net out")
    if len(layers) != len(network.layers):
        raise OpzoError(f"there are {len(layers)} layers; {network} has {len(network.layers)}: give the --net of them")
    matrices = []
    for shape, layer in zip(network.layers, layers, strict=True):
        window = (shape.seen.channels, *shape.window) if shape.kernel else (shape.seen.neurons,)
        wanted = (shape.map.channels, *window)
        if layer.weight.shape != wanted:
            raise OpzoError(
                f"layer '{layer.name}' has weights of shape {layer.weight.shape}; those of {network} have the shape "
                f"{wanted}: give the --net of the layers"
            )
        matrices.append(np.vstack([rows_of_weight(shape, layer.weight), layer.bias]))
    matrices[0][-1] /= _bias_input(network)
    return matrices


def round_weights(exact: Floats, weight_bits: int) -> tuple[NDArray[np.int16], NDArray[np.bool_]]:
    """Round ``exact`` (in units of 1.0) to the nearest storable weights in Q3.12; also return where they saturate.

    A memory of 12 bits stores Q1.10. Values beyond the range by less than half a unit do not count as saturated.
    """
    low_bits = ROW_LOW_BITS[weight_bits]
    top = 1 << (WEIGHT.width - 1 - 2 * low_bits)
    nearest = np.rint(exact * (WEIGHT.one >> low_bits))
    stored = np.clip(nearest, -top, top - 1)
    return (stored.astype(np.int32) << low_bits).astype(np.int16), stored != nearest


def _bias_input(network: Network) -> float:
    """Input value of the bias row of the first layer."""
    return BIAS if network.input is Input.FRAME else 1.0
