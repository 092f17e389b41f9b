"""The clock of a live source: continuous time from timestamps that wrap, jump and arrive late."""

import numpy as np
from numpy.typing import NDArray

from opzo.host.stream.live_counts import LiveCounts

RANGE = 1 << 32
"""Timestamps are modulo this."""
LATE_US = 1_000_000
"""A record older than the latest one by more than this means that the sender's clock ran back."""


class LiveClock:
    """Time since the first record, without gaps of more than ``max_gap`` time steps and without jumps back.

    Parameters
    ----------
    name : str
        Name of the source for messages.
    bin_us : int
        Duration of a time step in microseconds.
    max_gap : int
        Maximum number of consecutive empty time steps; a longer gap is removed.
    counts : LiveCounts
        Counters of gaps and jumps.
    """

    def __init__(self, name: str, bin_us: int, max_gap: int, counts: LiveCounts) -> None:
        self._name, self._bin, self._counts = name, bin_us, counts
        self._limit = (max_gap + 1) * bin_us
        self._stamp: int | None = None
        # Time of the latest record, and the highest time so far.
        self._now = self._highest = 0
        self._begun = False
        self._records = 0

    def times(self, stamps: NDArray[np.uint32], counts_time: NDArray[np.bool_]) -> NDArray[np.int64]:
        """Microseconds since the first record; negative for a late record that is older.

        Records that do not count time, such as labels, never move the clock; they take effect at the present time.
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
        """Offset for the times from this record on, which is ``ahead`` of all earlier records."""
        # A multiple of the time step, so that records keep their position within a step.
        steps = max(0, ahead // self._bin - 1)
        if first and not self._begun:
            # Labels before the first event often have no time.
            return -ahead
        if ahead > 0:
            self._counts.gap(f"{self._name}: the clock jumps ahead by {ahead:,} us at record {record}", steps)
            return -steps * self._bin
        self._counts.jump_back(f"{self._name}: the clock runs back by {-ahead:,} us at record {record}")
        return -ahead
