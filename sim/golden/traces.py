"""Spike histories, presynaptic traces and the list of active rows, of the inputs or of one hidden layer.

A row's trace sums up its spikes before the run, its history records those in the run. A row is in the list if and only
if one of them is not 0; the list is in the order in which rows became active.
"""

import numpy as np

from opzo.spec.formats import HISTORY_STEPS

_MASK = (1 << HISTORY_STEPS) - 1


def advance(trace: np.ndarray, history: np.ndarray, steps: int) -> np.ndarray:
    """Trace after a run of ``steps`` time steps (paper: ``a[t] = a[t-1] / 2 + s[t]``), floored to its bits.

    Parameters
    ----------
    trace : int (any shape)
        Trace before the run, unsigned, TRACE_FRAC_BITS.
    history : int (same shape)
        Bit k: spiked in step k of the run.
    """
    after: np.ndarray = (trace >> steps) | (history << (HISTORY_STEPS - steps) & _MASK)
    return after


def advance_graded(trace: np.ndarray, value: np.ndarray) -> np.ndarray:
    """The same for graded inputs after a run of one step: ``value`` / 256 in place of a spike, rounded half up."""
    after: np.ndarray = (trace >> 1) + ((value + 1) >> 1)
    return after


class Traces:
    """Traces and histories of some rows, views into a core's arrays, with their list.

    Attributes
    ----------
    trace : uint8 (rows,)
    history : uint8 (rows,)
        Bit k: spiked in step k of the run; for graded inputs the value.
    active : int (n,)
        Rows whose trace or history is not 0, in the order of the list.
    """

    def __init__(self, trace: np.ndarray, history: np.ndarray) -> None:
        self.trace, self.history = trace, history
        self.active = np.zeros(0, np.int64)

    def begin(self, steps: int, *, fresh: bool, graded: bool = False) -> None:
        """Begin a run, after one of ``steps`` time steps; ``fresh`` forgets all spikes before."""
        rows = self.active
        trace, history = (array[rows].astype(np.int64) for array in (self.trace, self.history))
        after = advance_graded(trace, history) if graded else advance(trace, history, steps)
        self.trace[rows] = 0 if fresh else after
        self.history[rows] = 0
        self.active = rows[self.trace[rows] != 0]

    def mark(self, rows: np.ndarray, step: int) -> int:
        """Record the rows that spiked in a step, ascending; return how many had not yet spiked in the run."""
        self._append(rows)
        first = int((self.history[rows] == 0).sum())
        self.history[rows] |= 1 << step
        return first

    def mark_graded(self, rows: np.ndarray, values: np.ndarray) -> None:
        """Record the values of the only step of a run."""
        self._append(rows)
        self.history[rows] = values

    def _append(self, rows: np.ndarray) -> None:
        self.active = np.append(self.active, rows[(self.trace[rows] | self.history[rows]) == 0])
