"""Order of positions, windows and blocks against their definitions, written out."""

import numpy as np
import pytest

from opzo.spec.geometry import CELL_BITS, block_count, blocks, order, windows
from opzo.spec.layers import LayerShape, Map


def number(y: int, x: int, width: int, cells: bool) -> int:
    """Number of a position."""
    if not cells:
        return y * width + x
    cell, part = y // 2 * (width // 2) + x // 2, y % 2 * 2 + x % 2
    return 4 * cell + part


def draw_shape(rng: np.random.Generator) -> tuple[LayerShape, bool]:
    """A layer, and whether a pool follows."""
    height, width, channels = (int(rng.integers(1, top)) for top in (8, 8, 5))
    pool, cells = rng.random(2) < 0.5
    side = (1 + int(pool)) * (1 + int(cells))
    below = Map(channels, side * height, side * width)
    seen = below.pooled() if pool else below
    kernel = int(rng.choice((0, 1, 3, 5)))
    above = Map(int(rng.integers(1, 5)), seen.height, seen.width) if kernel else Map(7)
    return LayerShape(below, above, kernel, bool(pool)), bool(cells and kernel)


@pytest.mark.parametrize(("height", "width"), [(2, 2), (4, 6), (6, 4), (2, 8), (12, 2)])
def test_positions_are_numbered_row_by_row_or_cell_by_cell(height: int, width: int) -> None:
    for cells in (False, True):
        rasters = order(Map(3, height, width), cells)
        assert sorted(rasters) == list(range(height * width))
        for n, raster in enumerate(rasters.tolist()):
            assert number(raster // width, raster % width, width, cells) == n


def test_order_of_an_odd_map() -> None:
    assert order(Map(2, 3, 5), False).tolist() == list(range(15))
    assert order(Map(9), False).tolist() == [0]


def expected_pairs(shape: LayerShape, y: int, x: int) -> set[tuple[tuple[int, int], int]]:
    """Neurons below, as (number of the position, channel), and their rows of weights."""
    seen, kernel, pairs = shape.seen, shape.kernel, set()
    for row in range(seen.height):
        for column in range(seen.width):
            ky, kx = row - y + kernel // 2, column - x + kernel // 2
            if kernel and not (0 <= ky < kernel and 0 <= kx < kernel):
                continue
            tap = ky * kernel + kx if kernel else row * seen.width + column
            for channel in range(seen.channels):
                weights = tap * seen.channels + channel
                for part in range(4 if shape.pool else 1):
                    where = (2 * row + part // 2, 2 * column + part % 2) if shape.pool else (row, column)
                    pairs.add(((number(*where, shape.below.width, shape.pool), channel), weights))
    return pairs


def test_windows_are_those_of_the_definition() -> None:
    rng = np.random.default_rng(24)
    seen = set()
    for _ in range(120):
        shape, cells = draw_shape(rng)
        seen.add((shape.kernel, shape.pool, cells))
        found = windows(shape, cells)
        assert len(found) == shape.map.positions
        for y in range(shape.map.height):
            for x in range(shape.map.width):
                spans = found[number(y, x, shape.map.width, cells)]
                pairs = [
                    ((position, c), (position >> CELL_BITS * shape.pool) * shape.seen.channels + c - span.base)
                    for span in spans
                    for position in range(span.begin, span.end)
                    for c in range(shape.seen.channels)
                ]
                assert len(pairs) == len(set(pairs)), (shape, cells, y, x)
                assert set(pairs) == expected_pairs(shape, y, x), (shape, cells, y, x)
                # The list of active neurons is walked once: spans ascend.
                assert [span.begin for span in spans] == sorted(span.begin for span in spans)
                assert all(span.begin < span.end for span in spans)
                assert all(0 <= row < shape.fan_in for _, row in pairs)
    assert len(seen) == 14


def test_blocks_are_squares_cut_off_at_the_edges() -> None:
    rng = np.random.default_rng(25)
    for _ in range(60):
        cells, block = bool(rng.random() < 0.5), int(rng.choice((1, 2, 4, 8, 16, 32)))
        height, width = (rng.integers(1, 20, 2) * (1 + cells)).tolist()
        map = Map(2, height, width)
        across = -(-width // block)
        found = blocks(map, cells, block)
        assert block_count(map, block) == -(-height // block) * across == found.max() + 1
        for y in range(height):
            for x in range(width):
                assert found[number(y, x, width, cells)] == y // block * across + x // block, (map, cells, block)


def test_a_dense_layer_is_one_block_with_one_window() -> None:
    shape = LayerShape(Map(3, 4, 4), Map(5), pool=True)
    assert [(span.begin, span.end, span.base) for span in windows(shape, False)[0]] == [(0, 16, 0)]
    assert blocks(Map(5), False, 1).tolist() == [0]
