"""Fire: one time step of leaky integrate-and-fire neurons with soft reset."""

from typing import NamedTuple

import numpy as np

from opzo.sim.golden.saturate import saturate
from opzo.spec.formats import MEMBRANE, SURROGATE_OFF, SURROGATE_SHIFT, THRESHOLD


class Fired(NamedTuple):
    """Result of ``fire``; arrays of the shape of its inputs."""

    v: np.ndarray
    """Membrane potential after the reset, MEMBRANE."""
    spikes: np.ndarray
    """bool."""
    surrogate: np.ndarray
    """Surrogate code 0..8: the derivative is 2**-code, 0 for 8."""
    saturated: np.ndarray
    """bool: the potential of the neuron saturated."""


def fire(v: np.ndarray, current: np.ndarray, noise: np.ndarray | int, valid: np.ndarray) -> Fired:
    """Leak by one half, integrate, compare, reset by subtraction (paper eq. 1; noise before the neuron).

    Parameters
    ----------
    v : int (words, lanes)
        Potential after the last step's reset, MEMBRANE; 0 at the first step.
    current : int (words, lanes)
        MEMBRANE.
    noise : int (words, lanes) or 0
        +alpha or -alpha, added for the comparison only.
    valid : bool (words, lanes)
        False in lanes without a neuron; they never spike, and their saturations are not counted.
    """
    u, saturated = saturate((v >> 1) + current, MEMBRANE.width)
    distance = u - THRESHOLD
    spikes = (distance + noise >= 0) & valid
    surrogate = np.minimum(np.abs(distance) >> SURROGATE_SHIFT, SURROGATE_OFF)
    return Fired(np.where(spikes, distance, u), spikes, surrogate, saturated & valid)
