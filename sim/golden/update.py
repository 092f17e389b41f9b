"""Row update: the one way in which weights and feedback entries change."""

import numpy as np

from opzo.sim.golden.saturate import saturate
from opzo.spec.formats import DRAW_BITS, UPDATE_FRAC_BITS, WEIGHT


def update_rows(
    rows: np.ndarray, update: np.ndarray, draws: np.ndarray, decay_shift: int
) -> tuple[np.ndarray, np.ndarray]:
    """``row - decay(row) - update`` with stochastic rounding; arrays (words, rows, lanes).

    Parameters
    ----------
    rows : int
        Weights or feedback entries, 16 bits.
    update : int
        In units of 2**-UPDATE_FRAC_BITS.
    draws : uint16
        A draw's upper UPDATE_FRAC_BITS bits round.
    decay_shift : int
        Decay is row >> shift, rounded half up, in units of 2**-UPDATE_FRAC_BITS; 0 is none.

    Returns
    -------
    rows : int
        Saturated to 16 bits.
    saturated : bool
    """
    exact = (rows << UPDATE_FRAC_BITS) + (draws >> (DRAW_BITS - UPDATE_FRAC_BITS)).astype(np.int64) - update
    if decay_shift:
        exact -= (rows + (1 << (decay_shift - 1))) >> decay_shift
    return saturate(exact >> UPDATE_FRAC_BITS, WEIGHT.width)
