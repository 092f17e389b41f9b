"""Records of a live source (events, labels, commands), and their conversion to time steps.

A record has 8 bytes, little-endian; a datagram contains one or more complete records.

======  =======  ==========================================================================================
bytes   name     meaning
======  =======  ==========================================================================================
0-3     t        time in microseconds, modulo 2**32
4-5     address  EVENT: address (channel, row, column as in the training data); LABEL: class
6       value    graded EVENT: 1..255; LEARN: 1 is on, 0 off; otherwise ignored
7       kind     `RecordKind`
======  =======  ==========================================================================================
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from opzo.host.data.events.event_samples import VALUE_MAX
from opzo.host.stream.live_clock import LiveClock
from opzo.host.stream.live_counts import LiveCounts
from opzo.spec.errors import OpzoError

RECORD = np.dtype([("t", "<u4"), ("address", "<u2"), ("value", "u1"), ("kind", "u1")])
NO_LABEL = 0xFFFF
"""Class in a LABEL record for an unknown class."""
MAX_GAP = 1000
"""Maximum number of empty time steps for a gap in the source."""
Records = NDArray[np.void]


class RecordKind(IntEnum):
    """Meaning of a record."""

    EVENT = 0
    TIME = 1
    """Only advances time, which otherwise advances with events."""
    LABEL = 2
    """Class of all following events."""
    LEARN = 3
    RESET = 4
    """Reset membrane potentials and traces."""
    END = 5


@dataclass(frozen=True)
class TimeStep:
    """Events of one time step, merged by address: int64 (events,) arrays; ``values`` are 1..255."""

    addresses: NDArray[np.int64]
    values: NDArray[np.int64]


@dataclass(frozen=True)
class Change:
    """A change between time steps: LABEL, LEARN, RESET or END, with class or 0/1."""

    kind: RecordKind
    value: int


class TimeSteps:
    """Convert records to time steps and changes, in order.

    A step lasts ``bin_us`` microseconds, counted from the first record. Changes take effect between steps; a change
    within a step takes effect before that step ends. Events of an earlier step are counted as late and added to the
    present step. Malformed records are skipped and counted.

    Parameters
    ----------
    inputs : int
        Inputs of the network.
    bin_us : int
        Duration of a time step in microseconds.
    name : str
        Name of the source for messages.
    counts : LiveCounts or None
        Counters of problems; None: the first malformed record raises OpzoError.
    classes : int
        Classes of the network.
    max_gap : int
        Maximum number of consecutive empty time steps; longer gaps are shortened.
    graded : bool
        Whether the network takes graded events, whose values must not be 0.

    Attributes
    ----------
    ended : bool
        Whether there was a record END; later records are only counted.
    """

    def __init__(
        self,
        inputs: int,
        bin_us: int,
        name: str,
        *,
        counts: LiveCounts | None = None,
        classes: int = NO_LABEL,
        max_gap: int = MAX_GAP,
        graded: bool = False,
    ) -> None:
        if bin_us < 1:
            raise OpzoError(f"a time step must last 1 us or longer, not {bin_us}")
        self._inputs, self._classes, self._bin, self._name = inputs, classes, bin_us, name
        self._graded = graded
        self.counts = LiveCounts() if counts is None else counts
        self._clock = LiveClock(name, bin_us, max_gap, self.counts)
        self._open = np.zeros(inputs, np.int64)
        self._begun = self.ended = False
        self._step = self._records = 0

    @property
    def late(self) -> int:
        """Late events of all sources that share the counters."""
        return self.counts.late

    def feed(self, records: Records) -> Iterator[TimeStep | Change]:
        """Add records; yield the steps and changes that they complete."""
        if self.ended:
            self.counts.after_end += len(records)
            return
        for end in np.flatnonzero(records["kind"] == RecordKind.END)[:1].tolist():
            self.counts.after_end += len(records) - end - 1
            records = records[: end + 1]
        records = self._checked(records)
        if len(records):
            self._begun = True
            yield from self._taken(records)
        self.counts.check()

    def _taken(self, records: Records) -> Iterator[TimeStep | Change]:
        is_change = (records["kind"] != RecordKind.EVENT) & (records["kind"] != RecordKind.TIME)
        steps = self._clock.times(records["t"], ~is_change) // self._bin
        begin = 0
        for at in [*np.flatnonzero(is_change).tolist(), len(records)]:
            yield from self._events(records[begin:at], steps[begin:at])
            if at < len(records):
                while self._step < steps[at]:
                    yield self._close()
                record = records[at]
                kind = RecordKind(int(record["kind"]))
                if kind is RecordKind.END:
                    self.ended = True
                    if self._open.any():
                        yield self._close()
                yield Change(kind, int(record["address"] if kind is RecordKind.LABEL else record["value"]))
            begin = at + 1

    def finish(self) -> Iterator[TimeStep | Change]:
        """Yield the step that is still open at the end of the source."""
        if self._begun and not self.ended:
            yield self._close()

    def _events(self, records: Records, steps: NDArray[np.int64]) -> Iterator[TimeStep]:
        # Late events join the open step.
        present = np.maximum.accumulate(np.maximum(steps, self._step))
        is_event = records["kind"] == RecordKind.EVENT
        self.counts.late += int((is_event & (steps < present)).sum())
        for step in np.unique(present):
            while self._step < step:
                yield self._close()
            some = is_event & (present == step)
            values = np.maximum(records["value"][some].astype(np.int64), 1)
            np.add.at(self._open, records["address"][some], values)

    def _close(self) -> TimeStep:
        addresses = np.flatnonzero(self._open)
        values = np.minimum(self._open[addresses], VALUE_MAX)
        self._open[addresses] = 0
        self._step += 1
        return TimeStep(addresses, values)

    def _checked(self, records: Records) -> Records:
        """Remove and count malformed records, up to the one that exceeds the limit."""
        kind, address, value = records["kind"], records["address"], records["value"]
        wrong = {
            "kind": (kind > max(RecordKind), f"kinds are 0..{int(max(RecordKind))}"),
            "address": (
                (kind == RecordKind.EVENT) & (address >= self._inputs),
                f"the network has inputs 0..{self._inputs - 1}",
            ),
            "class": (
                (kind == RecordKind.LABEL) & (address >= self._classes) & (address != NO_LABEL),
                f"the network has classes 0..{self._classes - 1}",
            ),
            "value": (
                (kind == RecordKind.LEARN) & (value > 1) | self._graded & (kind == RecordKind.EVENT) & (value == 0),
                "LEARN is 1 for on, 0 for off; a graded EVENT is 1..255",
            ),
        }
        bad = np.any([where for where, _ in wrong.values()], axis=0)
        for at in np.flatnonzero(bad).tolist():
            field, text = next((field, text) for field, (where, text) in wrong.items() if where[at])
            found = int(records["address" if field == "class" else field][at])
            self.counts.skip(f"record {self._records + at} of {self._name} has {field} {found}; {text}")
            if self.counts.too_many:
                records, bad = records[:at], bad[:at]
                break
        else:
            self._records += len(records)
        good: Records = records[~bad]
        return good
