"""Lists of spiking neurons and spike histories of one layer."""

import numpy as np


def step_list(spikes: np.ndarray) -> np.ndarray:
    """Rows of the neurons that spiked in a step, ascending.

    Parameters
    ----------
    spikes : bool (words, lanes)
    """
    return np.flatnonzero(spikes)


def extend_active(active: np.ndarray, first: np.ndarray) -> np.ndarray:
    """Active list with the neurons that spiked in this step for the first time in the sample appended, ascending.

    Parameters
    ----------
    active : int (n,)
        Rows, in order of their first spike.
    first : bool (words, lanes)
    """
    return np.append(active, np.flatnonzero(first))


def update_history(history: np.ndarray, spikes: np.ndarray, first: np.ndarray, *, step: int) -> np.ndarray:
    """Histories after a step: bit ``step`` set where a neuron spiked, all others cleared at its first spike.

    Parameters
    ----------
    history : uint8 (words, lanes)
        Bit t: spiked at step t. A silent neuron keeps what an earlier sample left.
    spikes, first : bool (words, lanes)
        ``first`` is a subset of ``spikes``.
    """
    kept = np.where(first, 0, history)
    return np.where(spikes, kept | (1 << step), history).astype(np.uint8)
