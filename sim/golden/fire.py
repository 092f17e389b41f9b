"""Fire: one time step of leaky integrate-and-fire neurons."""

from typing import NamedTuple

import numpy as np

from opzo.sim.golden.saturate import saturate
from opzo.spec.formats import MEMBRANE, SURROGATE_OFF, SURROGATE_SHIFT, THRESHOLD
from opzo.spec.neurons import Leak, Reset


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


def leaked(v: np.ndarray, leak: Leak) -> np.ndarray:
    """Potential times ``leak``: ``v - (v >> k)``, or ``v`` for ONE; ``v >> 1`` for HALF. All floor or are exact."""
    if leak is Leak.HALF:
        return v >> 1
    return v - (v >> leak.shift) if leak.shift else v


def fire(
    v: np.ndarray,
    current: np.ndarray,
    noise: np.ndarray | int,
    valid: np.ndarray,
    leak: Leak = Leak.HALF,
    reset: Reset = Reset.SUBTRACT,
) -> Fired:
    """Leak, integrate, compare, reset (paper eq. 1 with leak 1/2 and reset by subtraction; noise before the neuron).

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
    leak, reset : Leak, Reset
        Of all these neurons.
    """
    u, saturated = saturate(leaked(v, leak) + current, MEMBRANE.width)
    distance = u - THRESHOLD
    spikes = (distance + noise >= 0) & valid
    surrogate = np.minimum(np.abs(distance) >> SURROGATE_SHIFT, SURROGATE_OFF)
    after_spike = distance if reset is Reset.SUBTRACT else 0
    return Fired(np.where(spikes, after_spike, u), spikes, surrogate, saturated & valid)
