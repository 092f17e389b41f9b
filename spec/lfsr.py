"""The lanes' random generators: recurrence, and the initial states of a seed."""

import numpy as np

from opzo.spec.formats import LFSR_BITS, LFSR_TAPS

MAX_LANES = 128
PERIOD = (1 << LFSR_BITS) - 1
"""Bits until the sequence repeats; the recurrence is primitive."""
LANE_SPACING = (1 << LFSR_BITS) // MAX_LANES - 1
"""Bits between the starts of two lanes. Not a power of two: the recurrence holds at distances multiplied by one, and
would then make every lane the XOR of four others."""


def _multiply(a: int, b: int) -> int:
    """Product of two residues of GF(2)[x] modulo the recurrence's polynomial."""
    polynomial = (1 << LFSR_BITS) | sum(1 << tap for tap in LFSR_TAPS)
    product = 0
    while b:
        if b & 1:
            product ^= a
        b >>= 1
        a <<= 1
        if a >> LFSR_BITS:
            a ^= polynomial
    return product


def power(exponent: int) -> int:
    """x ** exponent modulo the recurrence's polynomial, as a bit vector."""
    result, base = 1, 2
    while exponent:
        if exponent & 1:
            result = _multiply(result, base)
        base = _multiply(base, base)
        exponent >>= 1
    return result


def step(state: int) -> int:
    """State after one bit: bit i of a state is b[n + i]; b[n + 32] is the XOR of the taps."""
    bit = 0
    for tap in LFSR_TAPS:
        bit ^= state >> tap
    return (state >> 1) | ((bit & 1) << (LFSR_BITS - 1))


def jump(state: int, bits: int) -> int:
    """State ``bits`` steps later.

    b[n + bits] is the XOR of those b[n + i] whose x**i occurs in x**bits modulo the polynomial.
    """
    multiplier = power(bits)
    result = 0
    for position in range(LFSR_BITS):
        if (state & multiplier).bit_count() & 1:
            result |= 1 << position
        state = step(state)
    return result


def lane_states(seed: int, lanes: int) -> np.ndarray:
    """Initial LFSR states, uint32 (lanes,), of a seed (any integer from 0 on).

    The lanes start LANE_SPACING bits apart on the one maximal sequence, so no lane meets another's numbers at the same
    time; the seed decides where lane 0 starts.
    """
    state = int(np.random.SeedSequence(seed).generate_state(1, np.uint32)[0]) or 1
    return np.array([jump(state, lane * LANE_SPACING) for lane in range(lanes)], dtype=np.uint32)
