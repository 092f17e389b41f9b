"""Gradient accumulators of convolutions: the sum over positions, and over the runs of a batch, of a weight's updates.

Rounded position by position, the noise of a shared weight would drown its gradient.
"""

import numpy as np

from opzo.sim.golden.saturate import saturate
from opzo.spec.formats import (
    GRADIENT_SHIFT_MAX,
    GRADIENT_STEP,
    MAGNITUDE_DECAY_BITS,
    MAGNITUDE_MAX,
    MAGNITUDE_UNIT_BITS,
)


def magnitude_after(before: int, gradients: np.ndarray) -> int:
    """Running sum of abs(gradient) after a batch: 1 / 64 of the old one is forgotten.

    Parameters
    ----------
    before : int
        MAGNITUDE_BITS, unsigned.
    gradients : int (any shape)
        GRADIENT; those of lane 0 of a layer.
    """
    total = int(np.abs(gradients.astype(np.int64)).sum()) >> MAGNITUDE_UNIT_BITS
    return min(before - (before >> MAGNITUDE_DECAY_BITS) + total, MAGNITUDE_MAX)


def gradient_shift(magnitude: int, count: int, rate: int) -> int:
    """Right shift of a layer's gradients: the smallest k with ``magnitude < count * rate << k``.

    The mean change of a weight is then between 2 and 4 ``rate`` units of 2**-UPDATE_FRAC_BITS (`Adam`_ normalises
    likewise, each weight by itself): with s = 2**(MAGNITUDE_UNIT_BITS - MAGNITUDE_DECAY_BITS) = 4, the mean of
    abs(gradient) is ``magnitude * s / count``.

    .. _Adam: https://arxiv.org/abs/1412.6980

    Parameters
    ----------
    magnitude : int
        Running sum (`magnitude_after`) of earlier batches.
    count : int
        Row-words of the layer's weights.
    rate : int
        Step size of convolutions.
    """
    shift = 0
    while magnitude >= count * rate << shift and shift < GRADIENT_SHIFT_MAX:
        shift += 1
    return shift


def gradient_step(gradients: np.ndarray, shift: int) -> np.ndarray:
    """Update of weights by their gradients: int (same shape), GRADIENT_STEP, rounded half up and saturated."""
    rounded = ((gradients >> (shift - 1)) + 1) >> 1 if shift else gradients
    step, _ = saturate(rounded, GRADIENT_STEP.width)
    return step
