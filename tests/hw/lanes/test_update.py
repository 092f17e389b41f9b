from dataclasses import asdict

import numpy as np
import pytest

from opzo.hw.lanes.update import RowUpdate
from opzo.sim.benches.bench import run_bench
from opzo.sim.golden.update import update_rows
from opzo.spec.formats import ROW_LOW_BITS, WEIGHT
from opzo.spec.limits import Limits

CONVOLUTION = {"gradients": 1, "blocks": 4}


@pytest.mark.parametrize("weight_bits", ROW_LOW_BITS)
@pytest.mark.parametrize("convolution", [{}, CONVOLUTION, CONVOLUTION | {"block": 32}])
def test_unit_matches_golden(weight_bits, convolution):
    limits = Limits(lanes=4, rows=1, inputs=1, words=4, classes=2, weight_bits=weight_bits, **convolution)
    run_bench(
        RowUpdate(limits),
        name=f"update-{weight_bits}-{limits.block if convolution else 0}",
        test_module="opzo.sim.benches.lanes.update",
        parameters={"limits": asdict(limits)},
    )


def test_golden_by_hand():
    # A weight unit is 2048; the draw's five low bits are not used.
    rows = np.array([5, 5, 5, 5, -5, WEIGHT.max, WEIGHT.min, WEIGHT.min])
    update = np.array([2048, 1, 1, 2047, -1, -1, 1, 0])
    draws = np.array([0, 31, 32, 65535, 65535, 65535, 0, 0], np.uint16)
    result, saturated = update_rows(rows, update, draws, 0, weight_bits=16)
    assert result.tolist() == [4, 4, 5, 5, -4, WEIGHT.max, WEIGHT.min, WEIGHT.min]
    assert saturated.tolist() == [False] * 5 + [True, True, False]
    # Decay 5 >> 1 rounds up to 3 and -5 >> 1 up to -2, in update units.
    rows = np.array([5, 5, -5, -5])
    draws = np.array([2 << 5, 3 << 5, 2045 << 5, 2046 << 5], np.uint16)
    result, _ = update_rows(rows, np.zeros(4, np.int64), draws, 1, weight_bits=16)
    assert result.tolist() == [4, 5, -5, -4]


def test_golden_by_hand_with_12_bits():
    # Rows are multiples of 4, a memory unit is 4 * 2048 and rounded by the draw's upper 13 bits.
    rows = np.array([8, 8, 8, 8, 8188, -8192, -8192])
    update = np.array([8192, 1, 1, 8191, -1, 1, 0])
    draws = np.array([0, 7, 8, 65535, 65535, 0, 0], np.uint16)
    result, saturated = update_rows(rows, update, draws, 0, weight_bits=12)
    assert result.tolist() == [4, 4, 8, 8, 8188, -8192, -8192]
    assert saturated.tolist() == [False] * 4 + [True, True, False]
