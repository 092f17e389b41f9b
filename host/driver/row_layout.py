"""Conversion between matrices and the row-words of a device's memory (docs/machine.md)."""

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from opzo.spec.formats import WEIGHT
from opzo.spec.limits import words_for

T = TypeVar("T", bound=np.generic)


def pack_rows(array: NDArray[T], lanes: int) -> NDArray[T]:
    """Row-words (words x rows, lanes) of a matrix (rows, neurons), word by word; 0 in lanes without a neuron."""
    rows, neurons = array.shape
    words = words_for(neurons, lanes)
    padded = np.zeros((rows, words * lanes), array.dtype)
    padded[:, :neurons] = array
    return padded.reshape(rows, words, lanes).transpose(1, 0, 2).reshape(words * rows, lanes)


def unpack_rows(memory: NDArray[T], neurons: int) -> NDArray[T]:
    """Matrix (rows, neurons) from row-words (words x rows, lanes)."""
    lanes = memory.shape[1]
    words = words_for(neurons, lanes)
    matrix = memory.reshape(words, -1, lanes).transpose(1, 0, 2).reshape(-1, words * lanes)
    return np.ascontiguousarray(matrix[:, :neurons])


def round_entries(array: NDArray[np.int16], low_bits: int) -> NDArray[np.int16]:
    """Entries rounded to the nearest values of a memory without the ``low_bits`` lowest bits."""
    if not low_bits:
        return array
    top = (1 << (WEIGHT.width - 1 - 2 * low_bits)) - 1
    stored = (array.astype(np.int32) + (1 << (low_bits - 1))) >> low_bits
    rounded: NDArray[np.int16] = (np.clip(stored, -top - 1, top) << low_bits).astype(np.int16)
    return rounded
