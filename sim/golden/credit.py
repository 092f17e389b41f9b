"""Credit filter: moves the presynaptic trace to the postsynaptic side.

``sum_t trace_i[t] c_j[t]`` over a run equals ``sum_k s_i[k] E_j[k]`` with ``E_j[k] = c_j[k] + E_j[k+1] / 2``, plus
``trace_i / 2 * E_j[0]`` for the trace with which the run began. So a presynaptic neuron needs only its spike
history and that trace.
"""

import numpy as np

from opzo.sim.golden.saturate import saturate
from opzo.spec.formats import FRAME_CREDIT, INPUT_BITS


def filter_credit(credits: np.ndarray) -> np.ndarray:
    """E: int (steps, words, lanes), FILTERED, of credits of the same shape, CREDIT.

    The half rounds towards 0. Rounded down, every neuron's credit would be slightly too small, which raises firing
    rates when step sizes are small (docs/learning.md).
    """
    filtered = credits.copy()
    for step in range(len(credits) - 2, -1, -1):
        later = filtered[step + 1]
        filtered[step] += (later + (later < 0)) >> 1
    return filtered


def spike_update(filtered: np.ndarray, histories: np.ndarray) -> np.ndarray:
    """Update of rows with spike histories: int (words, rows, lanes), units of 2**-UPDATE_FRAC_BITS weight units.

    Parameters
    ----------
    filtered : int (steps, words, lanes)
    histories : int (rows,)
        Bit k set: the row's neuron spiked in step k.
    """
    bits = (histories[:, None] >> np.arange(len(filtered))) & 1
    return np.tensordot(filtered, bits, axes=(0, 1)).transpose(0, 2, 1)


def trace_update(filtered: np.ndarray, traces: np.ndarray) -> np.ndarray:
    """Update of rows by their traces before the run: int (words, rows, lanes), ``trace / 2 x E[0]`` rounded half up.

    Parameters
    ----------
    filtered : int (steps, words, lanes)
    traces : int (rows,)
        Unsigned, TRACE_FRAC_BITS; for graded inputs with the value of the run's only step added, which counts twice as
        much and has one bit more after the point.
    """
    return _scaled(filtered[0], traces)


def frame_update(filtered: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Update of rows with a constant input: int (words, rows, lanes), ``value x D`` rounded half up.

    Parameters
    ----------
    filtered : int (steps, words, lanes)
    values : int (rows,)
        0..255.
    """
    total, _ = saturate(filtered.sum(axis=0), FRAME_CREDIT.width)
    return _scaled(total, values)


def _scaled(credit: np.ndarray, factors: np.ndarray) -> np.ndarray:
    update: np.ndarray = (credit[:, None, :] * factors[:, None] + (1 << (INPUT_BITS - 1))) >> INPUT_BITS
    return update
