import numpy as np
import pytest

from opzo.hw.neurons.fire import Fire
from opzo.sim.benches.bench import run_bench
from opzo.sim.golden.fire import fire
from opzo.spec.formats import MEMBRANE, THRESHOLD
from opzo.spec.neurons import Leak, Reset


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


def test_leaks_and_resets_by_hand():
    # All floor: v - (v >> k) of -33 is -33 + 9, + 5, + 3; HALF is v >> 1, and not v - (v >> 1), which is one more here.
    v, none = np.array([-33, 33, 64]), np.zeros(3, bool)
    expected = {
        Leak.HALF: [-17, 16, 32],
        Leak.THREE_QUARTERS: [-24, 25, 48],
        Leak.SEVEN_EIGHTHS: [-28, 29, 56],
        Leak.FIFTEEN_SIXTEENTHS: [-30, 31, 60],
        Leak.ONE: [-33, 33, 64],
    }
    assert {leak: fire(v, np.zeros(3, int), 0, none, leak).v.tolist() for leak in Leak} == expected
    current, every = np.array([THRESHOLD + 7, THRESHOLD - 1]), np.ones(2, bool)
    after = {reset: fire(np.zeros(2, int), current, 0, every, Leak.HALF, reset).v.tolist() for reset in Reset}
    assert after == {Reset.SUBTRACT: [7, THRESHOLD - 1], Reset.ZERO: [0, THRESHOLD - 1]}


@pytest.mark.parametrize("leak", list(Leak))
def test_leaks_follow_their_factor(leak):
    v = np.arange(-5000, 5000)
    floats = v * leak.factor
    # v - floor(v / 2**k) is at most one above the product, v >> 1 at most one below.
    above = fire(v, np.zeros_like(v), 0, np.zeros(len(v), bool), leak).v - floats
    assert -1 < above.min() <= 0 <= above.max() < 1
