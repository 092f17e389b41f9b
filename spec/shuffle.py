"""Order of an epoch and shifts of its images, from a seed: what host and device compute alike.

Shuffled order
    `mixed` maps the numbers of w bits one to one onto themselves: 12 times, ``x`` becomes ``x + key``, then
    ``x ^ (x >> (w + 1) // 2)``, then ``9 x``, all modulo 2^w. The keys are the states that follow the seed in the
    generator xorshift32 (Marsaglia: left 13, right 17, left 5). The sample at position p of an epoch of n samples is
    ``mixed(p)`` with the bits of n - 1 (at least 1), applied again until it is below n: less than twice on average.

Shifts
    ``mixed(p)`` with 32 bits has two halves of 16 bits. An image moves down by ``(high * (2 m + 1) >> 16) - m`` pixels,
    and to the right by the same of the low half, where m is the largest shift. What leaves the image is dropped.
"""

import numpy as np
from numpy.typing import NDArray

ROUNDS = 12
"""Fewer left traces in the order of 60,000 samples (8 with a factor of 5) and in the shifts (10 with a factor of 5)."""
FACTOR_SHIFT = 3
"""``9 x`` is ``x + (x << 3)``."""
SEED_BITS = 32
KEY_SHIFTS = (13, 17, 5)
"""Shifts of xorshift32: left, right, left."""
MAX_SHIFT = 3
"""Largest shift of an image, in pixels."""
HALF_BITS = SEED_BITS // 2


def next_key(state: int) -> int:
    """State of xorshift32 after ``state``."""
    left, right, again = KEY_SHIFTS
    state ^= state << left & (1 << SEED_BITS) - 1
    state ^= state >> right
    return state ^ (state << again & (1 << SEED_BITS) - 1)


def mixed(seed: int, numbers: NDArray[np.integer], bits: int) -> NDArray[np.int64]:
    """The image of each of ``numbers``, which have ``bits`` bits (1..32), under the one-to-one map of ``seed``.

    With seed 0 all keys are 0; as an order, it means that samples are not shuffled (`order`).
    """
    x = numbers.astype(np.uint64)
    mask, half, factor = np.uint64((1 << bits) - 1), np.uint64((bits + 1) // 2), np.uint64(1 + (1 << FACTOR_SHIFT))
    key = seed
    for _ in range(ROUNDS):
        key = next_key(key)
        x = (x + np.uint64(key)) & mask
        x ^= x >> half
        x = x * factor & mask
    return x.astype(np.int64)


def order(seed: int, count: int, positions: NDArray[np.integer] | None = None) -> NDArray[np.int64]:
    """Number of the sample at each position of an epoch of ``count`` samples (1 or more); seed 0: the positions.

    Parameters
    ----------
    seed : int
        0 to 2^32 - 1.
    positions : int (n,) or None
        Positions, 0 to count - 1; None: all of them.
    """
    places = np.arange(count) if positions is None else np.asarray(positions)
    if not seed:
        return places.astype(np.int64)
    bits = max(1, (count - 1).bit_length())
    numbers = mixed(seed, places, bits)
    while (beyond := numbers >= count).any():
        numbers[beyond] = mixed(seed, numbers[beyond], bits)
    return numbers


def shifts(seed: int, positions: NDArray[np.integer], most: int) -> NDArray[np.int64]:
    """Shift of the image at each position, (n, 2): pixels down and right, -``most`` to ``most``; seed 0: none."""
    if not seed or not most:
        return np.zeros((len(positions), 2), np.int64)
    random = mixed(seed, positions, SEED_BITS)
    halves = np.stack([random >> HALF_BITS, random & (1 << HALF_BITS) - 1], axis=1)
    return (halves * (2 * most + 1) >> HALF_BITS) - most
