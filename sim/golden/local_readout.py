"""Local readout: scores of the classes from a single hidden layer (paper appendix C.1)."""

import numpy as np

from opzo.sim.golden.saturate import saturate
from opzo.spec.formats import MEMBRANE


def local_readout(entries: np.ndarray, spikes: np.ndarray, shift: int) -> np.ndarray:
    """``R n`` of one time step, n the share of the neurons of a block that spiked: int (classes,), MEMBRANE, saturated.

    Parameters
    ----------
    entries : int (words, classes, lanes)
        WEIGHT.
    spikes : int (words, lanes)
        Spikes of the neurons that share an entry; 0 or 1 in a dense layer.
    shift : int
        Log2 of the number of these neurons.
    """
    total, _ = saturate((entries * spikes[:, None]).sum(axis=(0, 2)) >> shift, MEMBRANE.width)
    return total
