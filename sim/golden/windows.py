"""What each position of a layer sees of a list of presynaptic neurons."""

import numpy as np

from opzo.spec import geometry
from opzo.spec.geometry import CELL, CELL_BITS
from opzo.spec.layout import Layer


class Windows:
    """Windows of a layer over some neurons of the layer below.

    Parameters
    ----------
    layer : Layer
    neurons : int (n,)
        Numbers of the neurons, ``position * stride + channel``; ascending where the map below has several positions.
    stride : int
        Numbers of a position.

    Attributes
    ----------
    part : int (n,)
        Which of the positions of its cell a neuron has; 0 without a pool. Neurons that share a row of weights differ in
        it.
    """

    def __init__(self, layer: Layer, neurons: np.ndarray, stride: int) -> None:
        shape = layer.shape
        position, channel = np.divmod(neurons, stride)
        self.part = position % CELL if shape.pool else np.zeros_like(position)
        self._addresses = (position >> CELL_BITS if shape.pool else position) * shape.seen.channels + channel
        self._starts = np.searchsorted(position, np.arange(shape.below.positions + 1))
        self._windows = geometry.windows(shape, layer.cells)

    def __getitem__(self, position: int) -> tuple[np.ndarray, np.ndarray]:
        """Indices of the neurons in the window of a position of the layer, and their rows of weights; int (m,) each."""
        entries, rows = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
        for span in self._windows[position]:
            some = np.arange(self._starts[span.begin], self._starts[span.end])
            entries.append(some)
            rows.append(self._addresses[some] - span.base)
        return np.concatenate(entries), np.concatenate(rows)

    def spans(self, position: int) -> int:
        """Contiguous ranges of positions of which a window consists."""
        return len(self._windows[position])
