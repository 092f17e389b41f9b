"""Readouts of a step, corner cases and random ones, for the testbenches of the error unit."""

from random import Random

from opzo.spec.formats import EXP2_FRAC_BITS, LOG2E_FRAC_BITS, LOG2E_NUMERATOR, MEMBRANE

EXPONENT_SHIFT = LOG2E_FRAC_BITS + MEMBRANE.frac_bits - EXP2_FRAC_BITS


def corner_outputs(classes: int) -> list[list[int]]:
    """Readouts at the ends of what can happen: all equal, one alone, far apart, one step apart."""
    low, high, one = MEMBRANE.min, MEMBRANE.max, MEMBRANE.one
    corners = [[v] * classes for v in (low, -1, 0, 1, high)]
    for k in (0, 1, classes - 1):
        # The last four make errors of +-512 and +-511 with half of the squared error.
        for rest, alone in (
            (low, high),
            (high, low),
            (0, 1),
            (0, -1),
            (0, one),
            (0, -one),
            (0, 8 * one),
            (0, 16 * one),
            (low, 2 * one),
            (low, 2 * one - 1),
            (high, -one),
            (high, 32 - one),
        ):
            corners.append([alone if j == k else rest for j in range(classes)])
    # Exponents around the least loss that is cut to ERROR.max, the end of the powers, and the largest loss.
    for exponent in (510, 511, 512, 513, 1023, 1024, 16383, 16384):
        distance = (exponent << EXPONENT_SHIFT) // LOG2E_NUMERATOR + 1
        corners.append([MEMBRANE.max, *[MEMBRANE.min] * (classes - 2), MEMBRANE.max - distance])
    return corners


def random_outputs(rng: Random, classes: int) -> list[int]:
    """Readouts with spreads from a few units to everything."""
    spread = 1 << rng.randrange(1, MEMBRANE.width)
    offset = rng.randrange(-spread, spread)
    return [max(MEMBRANE.min, min(MEMBRANE.max, offset + rng.randrange(-spread, spread))) for _ in range(classes)]
