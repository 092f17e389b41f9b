"""Arrays of convolutional layers as PyTorch has them, from those of a core."""

import numpy as np

from opzo.sim.golden.core import GoldenCore
from opzo.spec.layout import Layer


def place(layer: Layer, y: int, x: int) -> int:
    """Number of a position (``docs/machine.md``)."""
    if not layer.cells:
        return y * layer.shape.map.width + x
    return 4 * (y // 2 * (layer.shape.map.width // 2) + x // 2) + y % 2 * 2 + x % 2


def maps(values: np.ndarray, layer: Layer) -> np.ndarray:
    """(..., channels, height, width) of values of all words of a layer, (..., words, lanes)."""
    _, height, width = layer.shape.map.shape
    each = values.reshape(*values.shape[:-2], layer.positions, -1)[..., : layer.neurons]
    rows = [[each[..., place(layer, y, x), :] for x in range(width)] for y in range(height)]
    return np.moveaxis(np.array(rows), (0, 1), (-2, -1))


def kernels(rows: np.ndarray, layer: Layer) -> tuple[np.ndarray, np.ndarray]:
    """Kernels (n_out, n_in, height, width) and biases (n_out,) of values laid out as weights, (words, rows, lanes)."""
    matrix = np.moveaxis(rows, 0, 1).reshape(layer.rows, -1)[:, : layer.neurons]
    taps = matrix[:-1].reshape(*layer.shape.window, layer.shape.seen.channels, layer.neurons)
    return taps.transpose(3, 2, 0, 1), matrix[-1]


def of_layer(values: np.ndarray, layer: Layer) -> np.ndarray:
    """Those of a layer among values of all hidden words of a core."""
    return values[layer.word_base : layer.word_base + layer.all_words]


def input_maps(core: GoldenCore, values: np.ndarray) -> np.ndarray:
    """(..., channels, height, width) of values of the inputs, (..., inputs)."""
    channels, height, width = core.layers()[0].shape.below.shape
    return np.moveaxis(values.reshape(*values.shape[:-1], height, width, channels), -1, -3)
