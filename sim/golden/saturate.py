"""Saturation to a number of bits."""

import numpy as np


def saturate(values: np.ndarray, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Clip to ``width`` bits signed; also return where that changed a value (bool, same shape)."""
    top = (1 << (width - 1)) - 1
    clipped = np.clip(values, -top - 1, top)
    return clipped, clipped != values
