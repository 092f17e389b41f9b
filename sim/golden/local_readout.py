"""Local readout: scores of the classes from a single hidden layer (paper appendix C.1)."""

import numpy as np

from opzo.sim.golden.saturate import saturate
from opzo.spec.formats import MEMBRANE


def local_readout(entries: np.ndarray, spikes: np.ndarray) -> np.ndarray:
    """``R s`` of one time step: int (classes,), MEMBRANE, saturated.

    Parameters
    ----------
    entries : int (words, classes, lanes)
        WEIGHT.
    spikes : bool (words, lanes)
    """
    total, _ = saturate((entries * spikes[:, None]).sum(axis=(0, 2)), MEMBRANE.width)
    return total
