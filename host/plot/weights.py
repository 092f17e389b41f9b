"""Pictures of weights: receptive fields of neurons, kernels of convolutions, matrices."""

from __future__ import annotations

from math import ceil, isqrt, sqrt
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from opzo.host.api.model import Model
from opzo.host.plot.canvas import figure_for
from opzo.spec.errors import OpzoError
from opzo.spec.messages import shown
from opzo.spec.network import Network
from opzo.spec.values import whole_number

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def weights(
    model: Model,
    layer: int = 0,
    *,
    shape: tuple[int, int, int] | None = None,
    count: int = 64,
    figure: Figure | None = None,
) -> Figure:
    """Draw the weights of a layer: blue is negative, red positive, all with one scale; biases are left out.

    A first layer without convolution has a picture for each neuron: its weights in the shape of the samples, channels
    side by side. A convolution has a picture for each channel: its kernels, one for each channel below, side by side.
    Of the other layers, the picture is the matrix, neurons to the right.

    Parameters
    ----------
    model : Model
        The weights are read from its device.
    layer : int
        Layer of weights as in `Model.weights`; 0 is the first one.
    shape : (channels, height, width) or None
        Shape of the samples, for a first layer without convolution; None: that of square images of one or two channels.
    count : int
        Largest number of pictures.
    figure : Figure or None
        Figure to draw in; None: a new one.
    """
    if not isinstance(model, Model):
        raise OpzoError(f"{shown(model)} is not a model; give an opzo.Model")
    network = model.network
    layer = whole_number("layer", layer, 0, len(network.layers) - 1)
    matrix = model.weights[layer][:-1]
    kernel = network.layers[layer].kernel
    if shape is not None and (layer or kernel):
        raise OpzoError("shape is that of the samples that a first layer without convolution sees; leave it out")
    limit = max(float(np.abs(matrix).max()), 1 / 4096)
    if kernel:
        # Rows are (row, column, channel below).
        fields = np.moveaxis(matrix.reshape(kernel, kernel, -1, matrix.shape[1]), -1, 0).transpose(0, 3, 1, 2)
        pictures = [side_by_side(field) for field in fields[:count]]
    else:
        seen = shape or (_square(network) if layer == 0 else None)
        pictures = [matrix] if seen is None else [side_by_side(field) for field in _fields(matrix, seen)[:count]]
    columns = ceil(sqrt(len(pictures)))
    rows = ceil(len(pictures) / columns)
    height, width = pictures[0].shape
    # As high as the pictures need, and the title.
    size = (8, 0.6 + 6.8 * rows * height / (columns * width)) if len(pictures) > 1 else (7, 5)
    figure = figure_for(figure, size)
    axes = figure.subplots(rows, columns, squeeze=False).reshape(-1)
    for ax in axes:
        ax.set_axis_off()
    for ax, picture in zip(axes, pictures, strict=False):
        image = ax.imshow(picture, cmap="RdBu_r", vmin=-limit, vmax=limit, interpolation="nearest", aspect="equal")
    if len(pictures) == 1:
        axes[0].set_axis_on()
        axes[0].set_aspect("auto")
        axes[0].set_xlabel("neuron")
        axes[0].set_ylabel("input")
    figure.colorbar(image, ax=list(axes), label="weight", shrink=0.6)
    figure.suptitle(f"{network}, weights of {_title(network, layer)}")
    return figure


def side_by_side(planes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Planes (channels, height, width) as one picture, with an empty column (NaN) between them."""
    gap = np.full((planes.shape[1], 1), np.nan)
    parts = [part for plane in planes for part in (plane, gap)]
    return np.hstack(parts[:-1])


def _title(network: Network, layer: int) -> str:
    """Name of a layer of weights: layer 0 leads to hidden layer 1, the last one is the readout."""
    return f"hidden layer {layer + 1}" if layer < len(network.hidden) else "the readout"


def _fields(matrix: NDArray[np.float64], shape: tuple[int, int, int]) -> NDArray[np.float64]:
    """Weights (inputs, n) by neuron: (n, channels, height, width)."""
    if len(shape) != 3 or np.prod(shape) != len(matrix):
        raise OpzoError(f"a neuron of this layer sees {len(matrix)} inputs, which is not the shape {tuple(shape)}")
    return matrix.T.reshape(-1, *shape)


def _square(network: Network) -> tuple[int, int, int] | None:
    """Shape of square samples with as many entries as the network has inputs: of one channel, or two; None if none."""
    for channels in (1, 2):
        side = isqrt(network.inputs // channels)
        if side > 1 and channels * side * side == network.inputs:
            return channels, side, side
    return None
