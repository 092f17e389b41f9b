"""Clocks of recordings made steady: jumps taken out, events that come a little late put in order.

A camera that is started again, a counter that wraps, a time that is set by the network or a damaged word make the clock
of a file jump. Taken as they are, such times put all events into the first and the last time step, or make hours of
steps without any. So a step back by more than LATE_US, and one ahead by more than PAUSE_US or by much more than all the
rest of the recording, are taken out: the event goes on where the one before it was. Each is a warning with its place.
"""

import logging
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from opzo.spec.errors import OpzoError
from opzo.spec.messages import printable

LATE_US = 100_000
"""Events that are late by up to so much are out of order (buffers of a camera); more is another time of the clock."""
PAUSE_US = 60_000_000
"""An event camera that sees nothing for longer has been switched off: even a still scene makes noise."""
SHORT_US, REST, MANY = 1_000_000, 10, 100
"""Of MANY events or more, a pause of SHORT_US or longer is a jump too where it is REST times all else together."""
JUMPS_MAX, JUMPS_SHARE = 10, 1000
"""More jumps than that and one in so many events are no clock."""
TIME_MAX = 1 << 60
"""About 36,000 years."""

logger = logging.getLogger(__name__)


def steady(
    name: str, t: NDArray[np.int64], place: Callable[[int], str], *, mend: bool = True
) -> tuple[NDArray[np.int64], NDArray[np.intp]]:
    """Times that never descend, and the order of the events that they belong to.

    OpzoError where a time is beyond all clocks, where there are so many jumps that the file is damaged, and, without
    ``mend``, where there is one.
    """
    beyond = (t > TIME_MAX) | (t < -TIME_MAX)
    if beyond.any():
        first = int(beyond.argmax())
        raise OpzoError(f"{name}: a time of {t[first]} us at {place(first)}; the file is damaged: copy it again")
    moved, jumps = _without_jumps(t)
    if len(jumps) > JUMPS_MAX + len(t) // JUMPS_SHARE or (jumps and not mend):
        more = f", the first of {len(jumps)} jumps of its clock" if len(jumps) > 1 else ""
        raise OpzoError(f"{name}: {_told(t, jumps[0], place)}{more}; the file is damaged: record or copy it again")
    if jumps:
        more = f" (and {len(jumps) - 1} more jumps)" if len(jumps) > 1 else ""
        logger.warning(
            "%s: %s; the jump is taken out, later events go on from there%s",
            printable(name),
            _told(t, jumps[0], place),
            more,
        )
    late = moved[1:] < moved[:-1]
    if not late.any():
        return moved, np.arange(len(t))
    logger.warning(
        "%s: %s; events out of order are sorted by time (%d places)",
        printable(name),
        _told(t, int(late.argmax()) + 1, place),
        int(late.sum()),
    )
    order = np.argsort(moved, kind="stable")
    return moved[order], order


def _without_jumps(t: NDArray[np.int64]) -> tuple[NDArray[np.int64], list[int]]:
    """Times without jumps, and the indices of the events at which they were."""
    change = np.diff(t)
    jumps: list[int] = []
    starts = [0, *(np.flatnonzero((change < -LATE_US) | (change > LATE_US)) + 1).tolist()]
    # What is added to the times from each start on; and what was before the latest jump, for a clock that comes back.
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
    while len(t) >= MANY:
        pauses = np.diff(moved)
        longest = int(pauses.argmax())
        rest = int(moved.max() - moved.min()) - int(pauses[longest])
        if pauses[longest] <= max(SHORT_US, REST * rest):
            break
        moved[longest + 1 :] -= pauses[longest]
        jumps.append(longest + 1)
    return moved, sorted(jumps)


def _told(t: NDArray[np.int64], index: int, place: Callable[[int], str]) -> str:
    where = f"event {index}"
    if place(index) != where:
        where += f" ({place(index)})"
    way = "time runs backwards" if t[index] < t[index - 1] else "the clock jumps ahead"
    return f"{way}, from {t[index - 1]} to {t[index]} us at {where}"
