"""A first convolution with a stride, or another padding than the chip's, as one of stride 1 over rearranged inputs.

A convolution of stride s reads s rows for each of its positions, so the rows of a position become channels: input row r
is slot ``r + d - s Y`` of position ``Y = (r + d) div s``, with d so that the windows are centred. Rows beyond the first
and last position are further slots of these positions. Columns alike. Each input keeps exactly one place, and the sums
are those of the original convolution.
"""

import re
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from opzo.spec.errors import OpzoError
from opzo.spec.layers import KERNELS, Map
from opzo.spec.messages import shown


class Axis(NamedTuple):
    """Rows, or columns, of the inputs.

    Attributes
    ----------
    positions : int
        Positions of the convolution.
    position, slot : int (side,)
        Place of each row; slot -1: no window sees the row.
    offsets : int (slots,)
        Row of each slot relative to the middle of the window at its position.
    """

    positions: int
    position: NDArray[np.int64]
    slot: NDArray[np.int64]
    offsets: NDArray[np.int64]


@dataclass(frozen=True)
class Strided:
    """Convolution of ``kernel`` x ``kernel`` with a stride and a padding of zeros, written ``5s2p1``."""

    kernel: int
    stride: int
    padding: int

    @classmethod
    def parse(cls, text: str) -> "Strided":
        """Convolution from its text; OpzoError for another text."""
        found = re.fullmatch("([1-9][0-9]?)s([1-9][0-9]?)p([0-9]{1,2})", text)
        if not found:
            raise OpzoError(f"{shown(text)} is not a convolution; write kernel, stride and padding like 5s2p1")
        return cls(*map(int, found.groups()))

    def __str__(self) -> str:
        return f"{self.kernel}s{self.stride}p{self.padding}"

    @property
    def new_kernel(self) -> int:
        """Kernel of the convolution of stride 1; OpzoError if the chip has none so large."""
        reach = max(-(-self._before // self.stride), (self.kernel - 1 - self._before) // self.stride)
        if 2 * reach + 1 not in KERNELS:
            raise OpzoError(
                f"a kernel of {self.kernel} with stride {self.stride} is one of {2 * reach + 1} with stride 1; the "
                "chip has 1, 3 and 5: train with a smaller one"
            )
        return 2 * reach + 1

    def shape(self, shape: tuple[int, int, int]) -> tuple[int, int, int]:
        """Shape of the rearranged inputs of ``shape``; NetworkError if the chip has no such map."""
        channels, *sides = shape
        rows, columns = map(self._axis, sides)
        return Map(channels * len(rows.offsets) * len(columns.offsets), rows.positions, columns.positions).shape

    def weight(self, weight: NDArray[np.float64], shape: tuple[int, int, int]) -> NDArray[np.float64]:
        """Weights for rearranged inputs from those (n_out, channels, kernel, kernel) for inputs of ``shape``."""
        kernel, reach = self.new_kernel, self.new_kernel // 2
        rows, columns = map(self._axis, shape[1:])
        made = np.zeros((len(weight), len(weight[0]), len(rows.offsets), len(columns.offsets), kernel, kernel))
        taps = self.stride * np.arange(-reach, reach + 1) + self._before
        ky, kx = (np.add.outer(axis.offsets, taps) for axis in (rows, columns))
        for (i, a), y in np.ndenumerate(ky):
            for (j, b), x in np.ndenumerate(kx):
                if 0 <= y < self.kernel and 0 <= x < self.kernel:
                    made[:, :, i, j, a, b] = weight[:, :, y, x]
        return made.reshape(len(weight), -1, kernel, kernel)

    def addresses(self, shape: tuple[int, int, int]) -> NDArray[np.int64]:
        """Number of each input (inputs,) after rearrangement, -1 for one that no window sees; all channel-first."""
        channels, _, width = self.shape(shape)[0], *self.shape(shape)[1:]
        rows, columns = map(self._axis, shape[1:])
        slots = len(rows.offsets) * len(columns.offsets)
        slot = np.add.outer(rows.slot * len(columns.offsets), columns.slot)
        position = np.add.outer(rows.position * width, columns.position)
        seen = (rows.slot >= 0)[:, None] & (columns.slot >= 0)
        area = rows.positions * columns.positions
        first = np.arange(0, channels, slots)[:, None, None]
        return np.where(seen, (first + slot) * area + position, -1).reshape(-1)

    @property
    def _before(self) -> int:
        """Rows of a window before its middle."""
        return (self.kernel - 1) // 2

    def _axis(self, side: int) -> Axis:
        positions = (side + 2 * self.padding - self.kernel) // self.stride + 1
        if positions < 1:
            raise OpzoError(
                f"a convolution {self} does not fit inputs of {side} rows or columns; train with a smaller one"
            )
        # The middle of window y is row stride * y of these.
        rows = np.arange(side) + self.padding - self._before
        position = np.clip(rows // self.stride, 0, positions - 1)
        offset = rows - self.stride * position
        last = self.stride * (positions - 1) + self.kernel - 1 - self._before
        # Where the stride is longer than the kernel, some rows between the windows are not seen.
        between = (
            (rows + self._before) % self.stride >= self.kernel if self.stride > self.kernel else rows < -self._before
        )
        seen = (rows >= -self._before) & (rows <= last) & ~between
        offsets = np.unique(offset[seen])
        return Axis(positions, position, np.where(seen, np.searchsorted(offsets, offset), -1), offsets)
