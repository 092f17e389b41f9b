"""Weights of a layer as pictures: receptive fields, kernels, or the matrix."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from opzo.host.driver.input_order import Shape
from opzo.host.live.answers import encoded
from opzo.spec.formats import WEIGHT
from opzo.spec.network import Network

PICTURES_MAX = 64
"""Most receptive fields or kernels of a layer."""
MATRIX_MAX = 256
"""Most rows and columns of the picture of a matrix."""
INT8_MAX = 127


def weight_picture(weights: NDArray[np.int16], network: Network, layer: int, shape: Shape) -> dict[str, Any]:
    """Pictures of the weights (n_in + 1, n_out) of a layer, without the bias; ``shape`` is that of an image.

    The first layer has a receptive field for each neuron, where it is dense, or kernels. A later convolution has
    kernels for its first input channel. All others have one picture, the matrix (n_out, n_in), or a corner of it.
    """
    inputs = weights[:-1]
    place = network.layers[layer]
    if place.kernel:
        # Rows are (ky, kx, channel below); the first layer shows all of its input channels, side by side.
        kernels = inputs.reshape(place.kernel, place.kernel, -1, inputs.shape[1]).transpose(3, 0, 2, 1)
        shown = kernels[:PICTURES_MAX, :, : shape[0] if layer == 0 else 1]
        what, pictures = "kernels", shown.reshape(len(shown), place.kernel, -1)
    elif layer == 0:
        channels, height, width = shape
        fields = inputs.T[:PICTURES_MAX].reshape(-1, channels, height, width).transpose(0, 2, 1, 3)
        what, pictures = "receptive fields", fields.reshape(len(fields), height, channels * width)
    else:
        what, pictures = "matrix", inputs.T[None, :MATRIX_MAX, :MATRIX_MAX]
    largest = max(1, int(np.abs(pictures.astype(np.int64)).max()))
    count, rows, columns = pictures.shape
    return {
        "layer": layer + 1,
        "what": what,
        "count": count,
        "of": int(inputs.shape[1]),
        "height": rows,
        "width": columns,
        "largest": largest / WEIGHT.one,
        "data": encoded(np.rint(pictures * (INT8_MAX / largest))),
    }
