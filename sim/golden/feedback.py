"""Feedback: the error of the readout, projected to a hidden layer by its feedback matrix."""

import numpy as np

from opzo.sim.golden.saturate import saturate
from opzo.spec.formats import CREDIT, DELTA_SHIFT, FEEDBACK_FACTOR_BITS, SURROGATE_OFF


def feedback_sum(entries: np.ndarray, shift: int, errors: np.ndarray) -> np.ndarray:
    """Feedback matrix times error, M e: int (words, lanes).

    Parameters
    ----------
    entries : int (words, classes, lanes)
        FEEDBACK_ENTRY.
    shift : int
        Feedback shift of the layer.
    errors : int (classes,)
        SCALED_ERROR.
    """
    factors, _ = saturate(entries >> shift, FEEDBACK_FACTOR_BITS)
    total: np.ndarray = (factors * errors[:, None]).sum(axis=1)
    return total


def credit(
    total: np.ndarray, surrogate: np.ndarray, spikes: np.ndarray, activity: int, valid: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Three-factor credit ``psi(v) * (M e)`` plus the activity cost.

    Parameters
    ----------
    total : int (words, lanes)
        Result of ``feedback_sum``, or the zero-order sum.
    surrogate : int (words, lanes)
        Codes 0..8.
    spikes, valid : bool (words, lanes)
    activity : int
        Added where the neuron spiked, CREDIT units.

    Returns
    -------
    credit : int (words, lanes)
        CREDIT, rounded half up, saturated before and after the activity cost.
    saturated : bool (words, lanes)
    """
    rounded = ((total >> (DELTA_SHIFT - 1 + np.minimum(surrogate, SURROGATE_OFF - 1))) + 1) >> 1
    scaled, low = saturate(np.where(surrogate == SURROGATE_OFF, 0, rounded), CREDIT.width)
    result, high = saturate(scaled + spikes * activity, CREDIT.width)
    return np.where(valid, result, 0), (low | high) & valid
