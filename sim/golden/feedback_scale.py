"""Feedback shift: by how many bits the entries of a feedback matrix are shifted down before use."""

import numpy as np

from opzo.spec.formats import FEEDBACK_MEAN_MAX, FEEDBACK_SHIFT_MAX


def feedback_shift(entries: np.ndarray) -> int:
    """Smallest shift k with mean(abs(entries)) < FEEDBACK_MEAN_MAX * 2**k, at most FEEDBACK_SHIFT_MAX.

    Parameters
    ----------
    entries : int (any shape)
        FEEDBACK_ENTRY.
    """
    total = int(np.abs(entries.astype(np.int64)).sum())
    limit = FEEDBACK_MEAN_MAX * entries.size
    shift = 0
    while total >> shift >= limit and shift < FEEDBACK_SHIFT_MAX:
        shift += 1
    return shift
