"""Conversion between arrays of the host, positions row by row, and the order of positions and lanes in a device."""

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from opzo.spec.geometry import order
from opzo.spec.layout import Layer

T = TypeVar("T", bound=np.generic)


def pad_channels(matrix: NDArray[np.int16], place: Layer, lanes: int) -> NDArray[np.int16]:
    """Entries (rows, blocks x words x lanes) from (rows, blocks x channels); 0 in lanes without a neuron."""
    rows = len(matrix)
    padded = np.zeros((rows, place.blocks, place.words * lanes), np.int16)
    padded[:, :, : place.neurons] = matrix.reshape(rows, place.blocks, place.neurons)
    return padded.reshape(rows, -1)


def without_padding(matrix: NDArray[np.int16], place: Layer, lanes: int) -> NDArray[np.int16]:
    """Inverse of ``pad_channels``."""
    rows = len(matrix)
    channels = matrix.reshape(rows, place.blocks, place.words * lanes)[:, :, : place.neurons]
    return np.ascontiguousarray(channels.reshape(rows, -1))


def by_position(values: NDArray[T], place: Layer, lanes: int) -> NDArray[T]:
    """Values of all neurons of a layer, (..., positions x channels) row by row, from those of its words in a device,
    (..., words, lanes)."""
    held = values.reshape(*values.shape[:-2], place.positions, place.words * lanes)[..., : place.neurons]
    rows = np.empty_like(held)
    rows[..., order(place.shape.map, place.cells), :] = held
    return rows.reshape(*values.shape[:-2], -1)
