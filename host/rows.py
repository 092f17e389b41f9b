"""Arrays of a network to and from the row-words of a device's memory (docs/machine.md, "Lanes and words")."""

import numpy as np
from numpy.typing import NDArray


def pack_rows(array: NDArray[np.int16], lanes: int) -> NDArray[np.int16]:
    """Row-words of a matrix (rows, neurons): (words x rows, lanes), word by word; lanes without a neuron hold 0."""
    rows, neurons = array.shape
    words = -(-neurons // lanes)
    padded = np.zeros((rows, words * lanes), np.int16)
    padded[:, :neurons] = array
    return padded.reshape(rows, words, lanes).transpose(1, 0, 2).reshape(words * rows, lanes)


def unpack_rows(memory: NDArray[np.int16], neurons: int) -> NDArray[np.int16]:
    """Matrix (rows, neurons) of its row-words (words x rows, lanes)."""
    lanes = memory.shape[1]
    words = -(-neurons // lanes)
    matrix = memory.reshape(words, -1, lanes).transpose(1, 0, 2).reshape(-1, words * lanes)
    return np.ascontiguousarray(matrix[:, :neurons])
