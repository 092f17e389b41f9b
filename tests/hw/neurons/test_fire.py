import numpy as np

from opzo.hw.neurons.fire import Fire
from opzo.sim.benches.bench import run_bench
from opzo.sim.golden.fire import fire
from opzo.spec.formats import MEMBRANE, THRESHOLD


def test_unit_matches_golden():
    run_bench(Fire(), name="fire", test_module="opzo.sim.benches.neurons.fire")


def test_golden_by_hand():
    # Leak floors: -3 >> 1 is -2. At the threshold, one below it, one below it with noise, and where no neuron is.
    v = np.array([-3, 2 * THRESHOLD, 0, 0, THRESHOLD])
    current = np.array([1, 0, THRESHOLD - 1, THRESHOLD - 1, THRESHOLD])
    fired = fire(v, current, np.array([0, 0, 0, 1, 0]), np.array([True, True, True, True, False]))
    assert fired.v.tolist() == [-1, 0, THRESHOLD - 1, -1, THRESHOLD * 3 // 2]
    assert fired.spikes.tolist() == [False, True, False, True, False]
    assert fired.surrogate.tolist() == [4, 0, 0, 0, 2]
    # The sum saturates before the reset.
    ends = np.array([MEMBRANE.min, MEMBRANE.max])
    fired = fire(ends, ends, 0, np.array([True, True]))
    assert fired.v.tolist() == [MEMBRANE.min, MEMBRANE.max - THRESHOLD]
    assert fired.surrogate.tolist() == [8, 8]
    assert fired.saturated.tolist() == [True, True]
    assert fire(ends, ends, 0, np.array([True, False])).saturated.tolist() == [True, False]
