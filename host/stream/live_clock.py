"""The clock of a live source: microseconds from stamps that wrap, jump and come late."""

import numpy as np
from numpy.typing import NDArray

from opzo.host.stream.live_counts import Counts

RANGE = 1 << 32
"""Stamps count modulo this."""
LATE_US = 1_000_000
"""A record that is older than the latest one by more is not late: the clock of the sender has run back."""


class LiveClock:
    """Time since the first record, without gaps of more than ``max_gap`` time steps and without jumps back.

    Parameters
    ----------
    name : str
        Of the source, for messages.
    bin_us : int
        Microseconds of a time step.
    max_gap : int
        Empty time steps in a row that a gap may make; a longer one is left out as a whole.
    counts : Counts
        Where gaps and jumps are counted.
    """

    def __init__(self, name: str, bin_us: int, max_gap: int, counts: Counts) -> None:
        self._name, self._bin, self._counts = name, bin_us, counts
        self._limit = (max_gap + 1) * bin_us
        self._stamp: int | None = None
        # Of the latest record, and the highest there was.
        self._now = self._highest = 0
        self._begun = False
        self._records = 0

    def times(self, stamps: NDArray[np.uint32], counts_time: NDArray[np.bool_]) -> NDArray[np.int64]:
        """Microseconds since the first record; below 0 for one that is late and older than that.

        Records that do not count time, which are labels and the like, never make the clock jump: they take effect at
        the time that it is.
        """
        raw = stamps.astype(np.int64)
        previous = int(raw[0]) if self._stamp is None else self._stamp
        moved = np.diff(raw, prepend=previous)
        # A step back of more than half the range is a step forward.
        times: NDArray[np.int64] = self._now + np.cumsum((moved + RANGE // 2) % RANGE - RANGE // 2)
        now, begin = int(times[-1]), 0
        while True:
            highest = np.maximum.accumulate(np.concatenate([[self._highest], times]))
            ahead = times - highest[:-1]
            wrong = np.flatnonzero((ahead[begin:] > self._limit) | (ahead[begin:] < -LATE_US))
            if not len(wrong):
                break
            at = begin + int(wrong[0])
            if counts_time[at]:
                shift = self._shift(int(ahead[at]), self._records + at, first=not counts_time[:at].any())
                times[at:] += shift
                now += shift
            else:
                times[at] = highest[at]
            begin = at + 1
        self._stamp, self._now, self._highest = int(raw[-1]), now, int(highest[-1])
        self._begun |= bool(counts_time.any())
        self._records += len(raw)
        return times

    def _shift(self, ahead: int, record: int, *, first: bool) -> int:
        """What to add to the time of a record that is so far ahead of all before it, and to those behind it."""
        # Whole time steps, so that the others keep their place in theirs.
        steps = max(0, ahead // self._bin - 1)
        if first and not self._begun:
            # Labels in front of the first event often carry no time.
            return -ahead
        if ahead > 0:
            self._counts.gap(f"{self._name}: the clock jumps ahead by {ahead:,} us at record {record}", steps)
            return -steps * self._bin
        self._counts.jump_back(f"{self._name}: the clock runs back by {-ahead:,} us at record {record}")
        return -ahead
