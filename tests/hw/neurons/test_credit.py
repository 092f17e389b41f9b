import numpy as np

from opzo.hw.neurons.credit import Credit
from opzo.sim.benches.bench import run_bench
from opzo.sim.golden.feedback import credit
from opzo.spec.formats import CREDIT


def test_unit_matches_golden():
    run_bench(Credit(), name="credit", test_module="opzo.sim.benches.neurons.credit")


def test_golden_by_hand():
    # One unit is 512 for code 0; half a unit rounds up, to 1 and to 0; code 8 leaves the activity cost.
    total = np.array([255, 256, -256, -257, 512 << 7, 1 << 30, 512])
    surrogate = np.array([0, 0, 0, 0, 7, 8, 0])
    spikes = np.array([False, False, False, False, True, True, True])
    valid = np.array([True, True, True, True, True, True, False])
    result, saturated = credit(total, surrogate, spikes, 5, valid)
    assert result.tolist() == [0, 1, 0, -1, 6, 5, 0]
    assert not saturated.any()
    # Saturated before the cost, so that a spike moves it back from below and cannot from above.
    total = np.array([1 << 30, -(1 << 30), (CREDIT.max - 4) * 512])
    result, saturated = credit(total, np.zeros(3, np.int64), np.ones(3, bool), 5, np.ones(3, bool))
    assert result.tolist() == [CREDIT.max, CREDIT.min + 5, CREDIT.max]
    assert saturated.tolist() == [True, True, True]
