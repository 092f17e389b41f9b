"""State of a hidden layer during a run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from opzo.spec.geometry import blocks
from opzo.spec.layout import Layer

if TYPE_CHECKING:
    from opzo.sim.golden.core import GoldenCore


class Hidden:
    """State of a hidden layer during a run; words of all positions, in the order of the positions.

    Attributes
    ----------
    layer : Layer
    valid : bool (words, lanes)
        Where there are neurons.
    v, negative : views of the core's arrays (words, lanes)
    spikes, surrogate, negatives, credits : (steps, words, lanes)
        ``negatives``: sign of the noise in the pair's even step, by step.
    local_errors : list of int (classes,)
        Scaled errors of the local readout by step.
    shift : int or None
        Feedback shift from the next run on; None: unchanged.
    """

    def __init__(self, layer: Layer, core: GoldenCore, steps: int, *, fresh: bool) -> None:
        lanes = core.limits.lanes
        shape = (layer.all_words, lanes)
        words = slice(layer.word_base, layer.word_base + layer.all_words)
        self.layer = layer
        self.valid = np.arange(layer.all_words * lanes).reshape(shape) % (layer.words * lanes) < layer.neurons
        self.v, self.negative = core.membrane[words], core.negative[words]
        if fresh:
            self.v[...], self.negative[...] = 0, False
        self.spikes = np.zeros((steps, *shape), bool)
        self.surrogate = np.zeros((steps, *shape), np.int64)
        self.negatives = np.zeros((steps, *shape), bool)
        self.credits = np.zeros((steps, *shape), np.int64)
        self.local_errors: list[np.ndarray] = []
        self.shift: int | None = None
        self._block = blocks(layer.shape.map, layer.cells, layer.block)

    @property
    def block_bits(self) -> int:
        """Log2 of the positions of a block."""
        return 2 * (self.layer.block.bit_length() - 1)

    def signs(self, step: int) -> np.ndarray:
        """Sign of the noise in the even step of a pair: +-1, 0 where there is no neuron; int (words, lanes)."""
        return np.where(self.negatives[step], -1, 1) * self.valid

    def block_sums(self, values: np.ndarray) -> np.ndarray:
        """Sum over the positions of each block: int (blocks x words, lanes), of int (words, lanes)."""
        layer = self.layer
        sums = np.zeros((layer.blocks, layer.words, values.shape[-1]), np.int64)
        np.add.at(sums, self._block, values.reshape(layer.positions, layer.words, -1))
        return sums.reshape(layer.block_words, -1)

    def of_blocks(self, values: np.ndarray) -> np.ndarray:
        """Value of each neuron's block: int (words, lanes), of int (blocks x words, lanes)."""
        layer = self.layer
        each = values.reshape(layer.blocks, layer.words, -1)[self._block]
        return each.reshape(layer.all_words, -1)
