"""Correction of recording clocks: removes jumps, and sorts events that are slightly late.

The clock of a file jumps when the camera restarts, a counter wraps, the system time is adjusted, or a word is damaged.
Uncorrected, such times put all events into the first and last time step, or cause hours of empty steps. Therefore a
step back by more than LATE_US, and a step ahead by more than PAUSE_US or by much more than the rest of the recording,
is removed: time continues from the previous event. A warning names the place.
"""

import logging
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from opzo.spec.errors import OpzoError
from opzo.spec.messages import printable

LATE_US = 100_000
"""Events late by up to this are only out of order (buffers of a camera); later ones mean that the clock jumped back."""
PAUSE_US = 60_000_000
"""A longer pause means that the camera was off: even a static scene causes noise events."""
PAUSE_MIN_US, PAUSE_RATIO, EVENTS_MIN = 1_000_000, 10, 100
"""In EVENTS_MIN or more events, a pause of PAUSE_MIN_US or more is a jump if it is PAUSE_RATIO times all other time."""
JUMPS_MAX, JUMPS_SHARE = 10, 1000
"""A file with more than JUMPS_MAX jumps plus one per JUMPS_SHARE events is damaged."""
TIME_MAX = 1 << 60
"""About 36,000 years."""

logger = logging.getLogger(__name__)


def steady(
    name: str, t: NDArray[np.int64], place: Callable[[int], str], *, mend: bool = True
) -> tuple[NDArray[np.int64], NDArray[np.intp]]:
    """Sorted times, and the order of the events for them.

    OpzoError if a time exceeds TIME_MAX, if there are too many jumps, or, without ``mend``, if there is any jump.
    """
    beyond = (t > TIME_MAX) | (t < -TIME_MAX)
    if beyond.any():
        first = int(beyond.argmax())
        raise OpzoError(f"{name}: time {t[first]} us at {place(first)}; the file is damaged: copy it again")
    moved, jumps = _without_jumps(t)
    if len(jumps) > JUMPS_MAX + len(t) // JUMPS_SHARE or (jumps and not mend):
        more = f", the first of {len(jumps)} jumps of its clock" if len(jumps) > 1 else ""
        raise OpzoError(f"{name}: {_describe(t, jumps[0], place)}{more}; the file is damaged: record or copy it again")
    if jumps:
        more = f" (and {len(jumps) - 1} more jumps)" if len(jumps) > 1 else ""
        logger.warning(
            "%s: %s; the jump is removed from all later events%s",
            printable(name),
            _describe(t, jumps[0], place),
            more,
        )
    late = moved[1:] < moved[:-1]
    if not late.any():
        return moved, np.arange(len(t))
    logger.warning(
        "%s: %s; events out of order are sorted by time (%d places)",
        printable(name),
        _describe(t, int(late.argmax()) + 1, place),
        int(late.sum()),
    )
    order = np.argsort(moved, kind="stable")
    return moved[order], order


def _without_jumps(t: NDArray[np.int64]) -> tuple[NDArray[np.int64], list[int]]:
    """Times without jumps, and the indices of the events at the jumps."""
    change = np.diff(t)
    jumps: list[int] = []
    starts = [0, *(np.flatnonzero((change < -LATE_US) | (change > LATE_US)) + 1).tolist()]
    # Offset added to the times after each start; the one before the latest jump is kept for a clock that jumps back.
    offsets, before = [0], 0
    latest = np.maximum.reduceat(t, starts).tolist() if len(t) else [0]
    end = latest[0]
    for start, last in zip(starts[1:], latest[1:], strict=True):
        now = int(t[start])
        fitting = [offset for offset in (offsets[-1], before) if -LATE_US <= now + offset - end <= PAUSE_US]
        if not fitting:
            jumps.append(start)
            before = offsets[-1]
        offsets.append(min(fitting) if fitting else end - now)
        end = max(end, last + offsets[-1])
    moved = t + np.repeat(np.array(offsets, np.int64), np.diff([*starts, len(t)]))
    while len(t) >= EVENTS_MIN:
        pauses = np.diff(moved)
        longest = int(pauses.argmax())
        rest = int(moved.max() - moved.min()) - int(pauses[longest])
        if pauses[longest] <= max(PAUSE_MIN_US, PAUSE_RATIO * rest):
            break
        moved[longest + 1 :] -= pauses[longest]
        jumps.append(longest + 1)
    return moved, sorted(jumps)


def _describe(t: NDArray[np.int64], index: int, place: Callable[[int], str]) -> str:
    """Text for a step of the clock at this event."""
    where = f"event {index}"
    if place(index) != where:
        where += f" ({place(index)})"
    what = "time runs backwards" if t[index] < t[index - 1] else "the clock jumps ahead"
    return f"{what}, from {t[index - 1]} to {t[index]} us at {where}"
