"""Row update: the only way in which weights and feedback entries change."""

import numpy as np

from opzo.sim.golden.saturate import saturate
from opzo.spec.formats import DRAW_BITS, ROW_LOW_BITS, UPDATE_FRAC_BITS


def update_rows(
    rows: np.ndarray, update: np.ndarray, draws: np.ndarray, decay_shift: int, *, weight_bits: int
) -> tuple[np.ndarray, np.ndarray]:
    """``row - decay(row) - update`` with stochastic rounding; arrays (words, rows, lanes).

    Parameters
    ----------
    rows : int
        Weights or feedback entries.
    update : int
        In units of 2**-UPDATE_FRAC_BITS.
    draws : uint16
        A draw's upper bits round: UPDATE_FRAC_BITS, and one more for each low bit that the memory leaves out.
    decay_shift : int
        Decay is row >> shift, rounded half up, in units of 2**-UPDATE_FRAC_BITS; 0 is none.
    weight_bits : int
        Bits of a row entry in memory, a key of ROW_LOW_BITS.

    Returns
    -------
    rows : int
        Saturated to the range of the memory.
    saturated : bool
    """
    low_bits = ROW_LOW_BITS[weight_bits]
    frac_bits = UPDATE_FRAC_BITS + low_bits
    exact = (rows << UPDATE_FRAC_BITS) + (draws >> (DRAW_BITS - frac_bits)).astype(np.int64) - update
    if decay_shift:
        exact -= (rows + (1 << (decay_shift - 1))) >> decay_shift
    stored, saturated = saturate(exact >> frac_bits, weight_bits)
    return stored << low_bits, saturated
