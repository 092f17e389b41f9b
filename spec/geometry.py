"""Where the neurons of a layer are in the chip, and what the window of each position sees.

Positions of a map are numbered row by row. Where an average pool follows, they are numbered cell by cell, the cells row
by row and the 2 x 2 positions of a cell row by row: so the four neurons that the pool averages are 4 c .. 4 c + 3 of
their channel, for cell c, and no pooled map exists.

A window sees a few contiguous ranges of positions (`Span`), one for each row of its kernel that lies in the map. A
dense layer has one position, whose window is one span: the whole map below.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from opzo.spec.layers import POOL, LayerShape, Map

CELL = POOL * POOL
"""Positions of a cell of an average pool."""
CELL_BITS = CELL.bit_length() - 1


@dataclass(frozen=True)
class Span:
    """One contiguous range of positions in a window.

    Attributes
    ----------
    begin, end : int
        Positions of the map below, ``end`` not included, as that map numbers them.
    base : int
        The weight row of channel c at position p of the map below is ``(p >> CELL_BITS) * channels + c - base`` where a
        pool lies between, else ``p * channels + c - base``.
    """

    begin: int
    end: int
    base: int


@cache
def order(map: Map, cells: bool) -> NDArray[np.int64]:
    """Positions by number, as row * width + column: int (positions,); ``cells`` where a pool follows."""
    raster = np.arange(map.positions)
    if cells:
        square = raster.reshape(map.height // POOL, POOL, map.width // POOL, POOL)
        raster = square.transpose(0, 2, 1, 3).reshape(-1)
    return raster


@cache
def windows(shape: LayerShape, cells: bool) -> tuple[tuple[Span, ...], ...]:
    """Spans of the window of each position of a layer, by number of the position; ``cells`` where a pool follows."""
    seen, kernel = shape.seen, shape.kernel
    bits = CELL_BITS if shape.pool else 0
    if not kernel:
        return ((Span(0, seen.positions << bits, 0),),)
    pad = kernel // 2
    found: list[tuple[Span, ...]] = []
    for y, x in np.column_stack(np.divmod(order(shape.map, cells), shape.map.width)).tolist():
        left, right = max(0, x - pad), min(seen.width, x - pad + kernel)
        window = []
        for ky in range(kernel):
            row = y - pad + ky
            if not 0 <= row < seen.height:
                continue
            begin, end = (row * seen.width + column << bits for column in (left, right))
            # Row (ky, kx, c) of the weights is the input at (row, x - pad + kx).
            base = (row * seen.width + x - pad - ky * kernel) * seen.channels
            window.append(Span(begin, end, base))
        found.append(tuple(window))
    return tuple(found)


@cache
def blocks(map: Map, cells: bool, block: int) -> NDArray[np.int64]:
    """Block of each position, by number of the position: int (positions,). Blocks are numbered row by row."""
    rows, columns = np.divmod(order(map, cells), map.width)
    found: NDArray[np.int64] = rows // block * -(-map.width // block) + columns // block
    return found


def block_count(map: Map, block: int) -> int:
    """Blocks of a map; those at the right and lower edge may be smaller."""
    return -(-map.height // block) * -(-map.width // block)
