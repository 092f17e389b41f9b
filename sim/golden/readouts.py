"""Readouts of a run and their errors, by time step."""

import numpy as np


class Readouts:
    """Readouts of a run, of the network or of a hidden layer, and their errors.

    Attributes
    ----------
    outputs : int64 (steps, classes)
        MEMBRANE.
    errors : int64 (steps, classes)
        SCALED_ERROR.
    last : int64 (classes,)
        Outputs of the step before the run.
    """

    def __init__(self, steps: int, last: np.ndarray) -> None:
        self.outputs, self.errors = np.zeros((2, steps, len(last)), np.int64)
        self.last = last

    def difference(self, step: int) -> np.ndarray:
        """``o[t-1] - o[t]``: int64 (classes,)."""
        before = self.outputs[step - 1] if step else self.last
        change: np.ndarray = before - self.outputs[step]
        return change
