"""Shift, rounding and magnitude of gradients."""

from fractions import Fraction
from math import floor

import numpy as np
import pytest

from opzo.sim.golden.gradient import gradient_shift, gradient_step, magnitude_after
from opzo.spec.formats import GRADIENT, GRADIENT_SHIFT_MAX, GRADIENT_STEP, MAGNITUDE_BITS

TOP = (1 << MAGNITUDE_BITS) - 1


def test_shift_is_the_smallest_that_fits() -> None:
    rng = np.random.default_rng(0)
    seen = set()
    for _ in range(2000):
        magnitude = int(2 ** rng.uniform(0, 32)) - 1
        count, rate = int(rng.integers(1, 5000)), int(rng.integers(1, 256))
        shift = gradient_shift(magnitude, count, rate)
        seen.add(shift)
        assert shift == GRADIENT_SHIFT_MAX or magnitude < count * rate << shift
        assert shift == 0 or magnitude >= count * rate << (shift - 1)
    assert set(range(20)) <= seen


def test_shift_at_its_bounds() -> None:
    assert [gradient_shift(magnitude, 10, 100) for magnitude in (0, 999, 1000, 1999, 2000)] == [0, 0, 1, 1, 2]
    assert gradient_shift(TOP, 1, 1) == GRADIENT_SHIFT_MAX
    assert gradient_shift(TOP, 1, 0) == gradient_shift(0, 1, 0) == GRADIENT_SHIFT_MAX
    assert gradient_shift(TOP, 1, 2) == GRADIENT_SHIFT_MAX
    assert gradient_shift(TOP, 1, 4) == GRADIENT_SHIFT_MAX - 1


@pytest.mark.parametrize("rate", [1, 20, 140, 255])
@pytest.mark.parametrize("size", [1000, 50_000, 3_000_000])
def test_mean_change_is_two_to_four_times_the_rate(size: int, rate: int) -> None:
    rng = np.random.default_rng(rate)
    magnitude = TOP
    for _ in range(1500):
        magnitude = magnitude_after(magnitude, rng.integers(-2 * size, 2 * size + 1, 120))
    shift = gradient_shift(magnitude, 120, rate)
    # A mean in 2 .. 4 rate, and the fluctuation of the running sum.
    assert shift == 0 or 1.8 * rate < size / 2**shift < 4.4 * rate
    assert shift > 0 or size < 4.4 * rate


def test_magnitude_forgets_a_64th_a_batch() -> None:
    nothing = np.zeros((2, 9), np.int32)
    assert magnitude_after(6400, nothing) == 6300
    assert magnitude_after(63, nothing) == 63
    assert magnitude_after(TOP, nothing) == TOP - (TOP >> 6)
    gradients = np.array([[-256, 255], [257, -512]], np.int32)
    assert magnitude_after(0, gradients) == (256 + 255 + 257 + 512) // 256
    assert magnitude_after(6400, gradients) == 6300 + 5


def test_magnitude_saturates() -> None:
    largest = np.full(512, GRADIENT.min, np.int32)
    assert magnitude_after(0, largest[:-1]) == 511 << 23
    assert magnitude_after(0, largest) == TOP
    assert magnitude_after(TOP, largest) == TOP


@pytest.mark.parametrize("shift", [0, 1, 2, 7, 12, 30, 31])
def test_a_step_is_rounded_half_up_and_saturated(shift: int) -> None:
    rng = np.random.default_rng(shift)
    half = 1 << max(shift - 1, 0)
    gradients = [GRADIENT.min, GRADIENT.max, -3 * half, -half - 1, -half, -half + 1, -1, 0, 1, half - 1, half, half + 1]
    gradients += [3 * half, GRADIENT_STEP.max << shift, (GRADIENT_STEP.max << shift) + half, GRADIENT_STEP.min << shift]
    gradients += rng.integers(GRADIENT.min, GRADIENT.max + 1, 500).tolist()
    gradients = [value for value in gradients if GRADIENT.min <= value <= GRADIENT.max]
    expected = [
        min(
            max(floor(Fraction(value, 1 << shift) + (Fraction(1, 2) if shift else 0)), GRADIENT_STEP.min),
            GRADIENT_STEP.max,
        )
        for value in gradients
    ]
    assert gradient_step(np.array(gradients, np.int64), shift).tolist() == expected
