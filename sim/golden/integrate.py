"""Integrate: weighted sum of the active rows."""

import numpy as np

from opzo.sim.golden.saturate import saturate
from opzo.spec.formats import ACCUMULATOR, MEMBRANE, PRODUCT_SHIFT
from opzo.spec.geometry import CELL_BITS


def integrate(weights: np.ndarray, values: np.ndarray | int, *, pool: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Input current of each neuron (paper eq. 1, ``W s + b``).

    Parameters
    ----------
    weights : int (words, rows, lanes)
        Rows of the active presynaptic neurons, bias included; WEIGHT.
    values : int (rows,) or int
        Input values 0..256 (256 is a spike), one a row or the same for all. With a pool the bias has 1024.
    pool : bool
        Whether the inputs are averages of CELL neurons, each of which has a row: a quarter of the sum.

    Returns
    -------
    current : int (words, lanes)
        MEMBRANE, saturated; each product and the sum floor.
    saturated : bool (words, lanes)
    """
    products = weights * (values if isinstance(values, int) else values[:, None])
    total = (products >> PRODUCT_SHIFT).sum(axis=1)
    return saturate(total >> (ACCUMULATOR.frac_bits - MEMBRANE.frac_bits + CELL_BITS * pool), MEMBRANE.width)
