"""A sample as it is sent to a device, and its result."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Sample:
    """One sample as it is sent: its class and the input of each of its runs, one for a frame (``opzo.spec.events``).

    The device computes the loss of class 0 where the class is not known.
    """

    runs: tuple[bytes, ...]
    label: int = 0


@dataclass(frozen=True)
class Result:
    """Result of one sample.

    Attributes
    ----------
    prediction : int
    loss : int
        Sum over the time steps, in bits, 8 fraction bits.
    outputs : int32 (classes,)
        Summed readouts, 12 fraction bits; empty unless requested.
    """

    prediction: int
    loss: int
    outputs: NDArray[np.int32]
