import numpy as np

from opzo.hw.update import RowUpdate
from opzo.sim.bench import run_bench
from opzo.sim.golden.update import update_rows
from opzo.spec.formats import WEIGHT


def test_unit_matches_golden():
    run_bench(RowUpdate(), name="update", test_module="opzo.sim.tb_update")


def test_golden_by_hand():
    # A weight unit is 2048; the draw's five low bits are not used.
    rows = np.array([5, 5, 5, 5, -5, WEIGHT.max, WEIGHT.min, WEIGHT.min])
    update = np.array([2048, 1, 1, 2047, -1, -1, 1, 0])
    draws = np.array([0, 31, 32, 65535, 65535, 65535, 0, 0], np.uint16)
    result, saturated = update_rows(rows, update, draws, 0)
    assert result.tolist() == [4, 4, 5, 5, -4, WEIGHT.max, WEIGHT.min, WEIGHT.min]
    assert saturated.tolist() == [False] * 5 + [True, True, False]
    # Decay 5 >> 1 rounds up to 3 and -5 >> 1 up to -2, in update units.
    rows = np.array([5, 5, -5, -5])
    result, _ = update_rows(rows, np.zeros(4, np.int64), np.array([2 << 5, 3 << 5, 2045 << 5, 2046 << 5], np.uint16), 1)
    assert result.tolist() == [4, 5, -5, -4]
