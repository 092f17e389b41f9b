"""Records of a live source: events, labels and commands, as they come through a pipe or in UDP datagrams.

A record is 8 bytes, little-endian; a datagram holds any whole number of them.

======  =======  ==========================================================================================
bytes   name     meaning
======  =======  ==========================================================================================
0-3     t        time in microseconds, modulo 2**32
4-5     address  of an EVENT (channel, row, column as in the network's training data); class of a LABEL
6       value    1..255 of a graded event, else not looked at; of LEARN 1 is on, 0 off
7       kind     `Kind`
======  =======  ==========================================================================================
"""

import select
import socket
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from enum import IntEnum
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from opzo.host.data.events.event_samples import VALUE_MAX
from opzo.host.stream.live_clock import LiveClock
from opzo.host.stream.live_counts import Counts
from opzo.spec.errors import OpzoError

RECORD = np.dtype([("t", "<u4"), ("address", "<u2"), ("value", "u1"), ("kind", "u1")])
NO_LABEL = 0xFFFF
"""Class of a LABEL record that says that the class is unknown."""
DATAGRAM_BYTES = 65535
BUFFER_BYTES = 1 << 22
"""Of the operating system, for what comes while the chip is at work; it may give less."""
WAIT = 0.1
"""Seconds between two looks at whether to stop; and for which records behind END are counted."""
MAX_GAP = 1000
"""Empty time steps that a gap in the source may make."""
SO_MEMINFO, MEMINFO = 55, struct.Struct("=9I")
"""Option of a socket on Linux: what it holds, and as the last number how many datagrams were dropped."""
Records = NDArray[np.void]


class Kind(IntEnum):
    """What a record says."""

    EVENT = 0
    TIME = 1
    """Nothing but the time: without events it would not go on."""
    LABEL = 2
    """The class of all that follows."""
    LEARN = 3
    RESET = 4
    """Forget membrane potentials and traces."""
    END = 5


@dataclass(frozen=True)
class TimeStep:
    """Events of one time step, merged by address: int64 (events,) each; ``values`` are 1..255."""

    addresses: NDArray[np.int64]
    values: NDArray[np.int64]


@dataclass(frozen=True)
class Change:
    """What is other from here on: LABEL, LEARN, RESET or END, with class or 0/1."""

    kind: Kind
    value: int


class TimeSteps:
    """Turn records into time steps and changes, in order.

    A step has events of ``bin_us`` microseconds, counted from the first record. Changes take effect between steps:
    where their time is inside one, before it ends. Events of an earlier step than the present one count as late and
    are taken into the present one. Records that cannot be are skipped and counted.

    Parameters
    ----------
    inputs : int
        Addresses of the network.
    bin_us : int
        Microseconds a time step.
    name : str
        Of the source, for messages.
    counts : Counts or None
        Where what goes wrong is counted; None: the first malformed record is an OpzoError.
    classes : int
        Classes of the network.
    max_gap : int
        Empty time steps in a row that a gap may make.
    graded : bool
        Whether the network takes graded events, whose value must not be 0.

    Attributes
    ----------
    ended : bool
        Whether there was a record END; what comes behind it is only counted.
    """

    def __init__(
        self,
        inputs: int,
        bin_us: int,
        name: str,
        *,
        counts: Counts | None = None,
        classes: int = NO_LABEL,
        max_gap: int = MAX_GAP,
        graded: bool = False,
    ) -> None:
        if bin_us < 1:
            raise OpzoError(f"a time step must last 1 us or longer, not {bin_us}")
        self._inputs, self._classes, self._bin, self._name = inputs, classes, bin_us, name
        self._graded = graded
        self.counts = Counts() if counts is None else counts
        self._clock = LiveClock(name, bin_us, max_gap, self.counts)
        self._open = np.zeros(inputs, np.int64)
        self._begun = self.ended = False
        self._step = self._records = 0

    @property
    def late(self) -> int:
        """Events that came late, of all sources that count together."""
        return self.counts.late

    def feed(self, records: Records) -> Iterator[TimeStep | Change]:
        """Steps and changes that are complete with these records."""
        if self.ended:
            self.counts.after_end += len(records)
            return
        for end in np.flatnonzero(records["kind"] == Kind.END)[:1].tolist():
            self.counts.after_end += len(records) - end - 1
            records = records[: end + 1]
        records = self._checked(records)
        if len(records):
            self._begun = True
            yield from self._taken(records)
        self.counts.check()

    def _taken(self, records: Records) -> Iterator[TimeStep | Change]:
        is_change = (records["kind"] != Kind.EVENT) & (records["kind"] != Kind.TIME)
        steps = self._clock.times(records["t"], ~is_change) // self._bin
        begin = 0
        for at in [*np.flatnonzero(is_change).tolist(), len(records)]:
            yield from self._events(records[begin:at], steps[begin:at])
            if at < len(records):
                while self._step < steps[at]:
                    yield self._close()
                record = records[at]
                kind = Kind(int(record["kind"]))
                if kind is Kind.END:
                    self.ended = True
                    if self._open.any():
                        yield self._close()
                yield Change(kind, int(record["address"] if kind is Kind.LABEL else record["value"]))
            begin = at + 1

    def finish(self) -> Iterator[TimeStep | Change]:
        """The step that the end of the source leaves open."""
        if self._begun and not self.ended:
            yield self._close()

    def _events(self, records: Records, steps: NDArray[np.int64]) -> Iterator[TimeStep]:
        # Late events join the step that is open when they come.
        present = np.maximum.accumulate(np.maximum(steps, self._step))
        is_event = records["kind"] == Kind.EVENT
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
        """Records without the malformed ones, which are counted, up to the one that is too many."""
        kind, address, value = records["kind"], records["address"], records["value"]
        wrong = {
            "kind": (kind > max(Kind), f"kinds are 0..{int(max(Kind))}"),
            "address": (
                (kind == Kind.EVENT) & (address >= self._inputs),
                f"the network has inputs 0..{self._inputs - 1}",
            ),
            "class": (
                (kind == Kind.LABEL) & (address >= self._classes) & (address != NO_LABEL),
                f"the network has classes 0..{self._classes - 1}",
            ),
            "value": (
                (kind == Kind.LEARN) & (value > 1) | self._graded & (kind == Kind.EVENT) & (value == 0),
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


def read_pipe(pipe: BinaryIO, name: str, stop: Callable[[], bool], counts: Counts | None = None) -> Iterator[Records]:
    """Records of a pipe or file as they come, until its end, a record END or ``stop``."""
    rest = b""

    def read() -> bytes:
        # What there is, without waiting for a full buffer.
        data: bytes = pipe.read1(DATAGRAM_BYTES) if hasattr(pipe, "read1") else pipe.read(DATAGRAM_BYTES)
        return data

    while not stop():
        if not select.select([pipe], [], [], WAIT)[0]:
            continue
        data = read()
        if not data:
            if rest:
                raise OpzoError(f"{name} ends inside a record ({len(rest)} of {RECORD.itemsize} bytes)")
            return
        whole = len(rest + data) // RECORD.itemsize * RECORD.itemsize
        rest, data = (rest + data)[whole:], (rest + data)[:whole]
        records = np.frombuffer(data, RECORD)
        yield records
        if (records["kind"] == Kind.END).any():
            if counts is not None:
                counts.after_end += _drain(pipe, read)
            return


def read_udp(
    address: tuple[str, int], name: str, stop: Callable[[], bool], counts: Counts | None = None
) -> Iterator[Records]:
    """Records of the datagrams that come to a host and port, until a record END or ``stop``.

    Datagrams of a wrong size are skipped and counted; without ``counts`` the first one is an OpzoError.
    """
    counts = Counts() if counts is None else counts
    try:
        receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        receiver.bind(address)
    except OSError as error:
        raise OpzoError(
            f"cannot listen on {name}: {error.strerror or error}; choose another port, or an address of this machine"
        ) from None
    with suppress(OSError):
        receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES)
    lost_before = counts.datagrams_lost or 0
    with receiver:
        try:
            while not stop():
                if not select.select([receiver], [], [], WAIT)[0]:
                    continue
                data, sender = receiver.recvfrom(DATAGRAM_BYTES)
                if len(data) % RECORD.itemsize:
                    counts.skip(
                        f"a datagram from {sender[0]} to {name} has {len(data)} bytes; a record has {RECORD.itemsize}"
                    )
                    counts.check()
                    continue
                records = np.frombuffer(data, RECORD)
                yield records
                if (records["kind"] == Kind.END).any():
                    counts.after_end += _drain(receiver, lambda: receiver.recv(DATAGRAM_BYTES))
                    return
        finally:
            lost = _lost(receiver)
            if lost is not None:
                counts.datagrams_lost = lost_before + lost


def _drain(source: BinaryIO | socket.socket, read: Callable[[], bytes]) -> int:
    """Records that are still there, or come within WAIT."""
    found, end = 0, time.monotonic() + WAIT
    while (left := end - time.monotonic()) > 0 and select.select([source], [], [], left)[0]:
        data = read()
        if not data:
            break
        found += len(data)
    return found // RECORD.itemsize


def _lost(receiver: socket.socket) -> int | None:
    """Datagrams that the operating system dropped because the socket was full; None where it does not say."""
    with suppress(OSError, struct.error):
        lost: int = MEMINFO.unpack(receiver.getsockopt(socket.SOL_SOCKET, SO_MEMINFO, MEMINFO.size))[-1]
        return lost
    return None


def parse_address(text: str) -> tuple[str, int]:
    """Host and port of ``KIND:PORT`` (this machine) or ``KIND:HOST:PORT``."""
    kind, _, address = text.partition(":")
    host, _, port = address.rpartition(":")
    if not (port.isascii() and port.isdecimal() and len(port) < 6 and int(port) <= 0xFFFF):
        raise OpzoError(f"'{text}' is no network address; write {kind}:PORT or {kind}:HOST:PORT")
    return host or "127.0.0.1", int(port)
