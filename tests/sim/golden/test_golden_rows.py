"""Rows that the host writes and reads."""

import numpy as np
import pytest

from opzo.sim.golden.core import GoldenCore
from opzo.spec.limits import Limits
from opzo.spec.memories import Space

WRITTEN = [0, 3, 0x1FFF, 0x2000, 0x7FFF, 0x8000, 0xDFFF, 0xFFFF]


@pytest.mark.parametrize(
    ("weight_bits", "kept"),
    [
        (16, [0, 3, 0x1FFF, 0x2000, 0x7FFF, -0x8000, -0x2001, -1]),
        # The memory has bits 2 to 13; bit 13 is the sign.
        (12, [0, 0, 0x1FFC, -0x2000, -4, 0, 0x1FFC, -4]),
    ],
)
def test_weights_keep_the_bits_of_the_memory(weight_bits: int, kept: list[int]) -> None:
    core = GoldenCore(Limits(lanes=8, rows=4, inputs=8, words=1, classes=2, weight_bits=weight_bits))
    core.write_row(Space.WEIGHTS, 2, np.array(WRITTEN, np.uint16))
    assert core.memory.tolist() == [[0] * 8, [0] * 8, kept, [0] * 8]
    row = core.read_row(Space.WEIGHTS, 2)
    assert row.dtype == np.uint16
    assert row.tolist() == [value & 0xFFFF for value in kept]


def test_gradients_are_moved_by_halves() -> None:
    core = GoldenCore(Limits(lanes=4, rows=4, inputs=8, words=1, classes=2, gradients=3, blocks=1))
    low, high = (np.array(half, np.uint16) for half in ([0, 1, 0x8000, 0xFFFF], [0x8000, 0x7FFF, 0, 0xFFFE]))
    core.write_row(Space.GRADIENTS, 4, low)
    core.write_row(Space.GRADIENTS, 5, high)
    expected = [-(1 << 31), (0x7FFF << 16) + 1, 0x8000, -0x10001]
    assert core.gradients.tolist() == [[0] * 4, [0] * 4, expected]
    np.testing.assert_array_equal(core.read_row(Space.GRADIENTS, 4), low)
    np.testing.assert_array_equal(core.read_row(Space.GRADIENTS, 5), high)


def test_potentials_are_read_by_halves() -> None:
    core = GoldenCore(Limits(lanes=4, rows=4, inputs=8, words=2, classes=2))
    core.membrane[1] = [0, -1, (1 << 17) + 5, -(1 << 18)]
    assert core.read_row(Space.MEMBRANE, 2).tolist() == [0, 0xFFFF, 5, 0]
    assert core.read_row(Space.MEMBRANE, 3).tolist() == [0, 0xFFFF, 2, 0xFFFC]
