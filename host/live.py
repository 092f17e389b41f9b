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
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from opzo.host.events import VALUE_MAX
from opzo.spec.errors import OpzoError

RECORD = np.dtype([("t", "<u4"), ("address", "<u2"), ("value", "u1"), ("kind", "u1")])
NO_LABEL = 0xFFFF
"""Class of a LABEL record that says that the class is unknown."""
DATAGRAM_BYTES = 65535
WAIT = 0.1
"""Seconds between two looks at whether to stop."""
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
    where their time is inside one, before it ends. Events of an earlier step than the present one count as ``late`` and
    are taken into the present one.

    Parameters
    ----------
    inputs : int
        Addresses of the network.
    bin_us : int
        Microseconds a time step.
    name : str
        Of the source, for messages.

    Attributes
    ----------
    late : int
    """

    def __init__(self, inputs: int, bin_us: int, name: str) -> None:
        if bin_us < 1:
            raise OpzoError(f"a time step must last 1 us or longer, not {bin_us}")
        self._inputs, self._bin, self._name = inputs, bin_us, name
        self._counts = np.zeros(inputs, np.int64)
        self._origin: int | None = None
        self._elapsed = self._step = self._records = self.late = 0

    def feed(self, records: Records) -> Iterator[TimeStep | Change]:
        """Steps and changes that are complete with these records."""
        self._check(records)
        if not len(records):
            return
        times = self._unwrapped(records["t"])
        steps = times // self._bin
        begin = 0
        is_change = (records["kind"] != Kind.EVENT) & (records["kind"] != Kind.TIME)
        for at in [*np.flatnonzero(is_change).tolist(), len(records)]:
            yield from self._events(records[begin:at], steps[begin:at])
            if at < len(records):
                while self._step < steps[at]:
                    yield self._close()
                record = records[at]
                kind = Kind(int(record["kind"]))
                if kind is Kind.END and self._counts.any():
                    yield self._close()
                yield Change(kind, int(record["address"] if kind is Kind.LABEL else record["value"]))
            begin = at + 1
        self._records += len(records)

    def finish(self) -> Iterator[TimeStep | Change]:
        """The step that the end of the source leaves open."""
        if self._origin is not None:
            yield self._close()

    def _events(self, records: Records, steps: NDArray[np.int64]) -> Iterator[TimeStep]:
        # Late events join the step that is open when they come.
        present = np.maximum.accumulate(np.maximum(steps, self._step))
        is_event = records["kind"] == Kind.EVENT
        self.late += int((is_event & (steps < present)).sum())
        for step in np.unique(present):
            while self._step < step:
                yield self._close()
            some = is_event & (present == step)
            values = np.maximum(records["value"][some].astype(np.int64), 1)
            np.add.at(self._counts, records["address"][some], values)

    def _close(self) -> TimeStep:
        addresses = np.flatnonzero(self._counts)
        values = np.minimum(self._counts[addresses], VALUE_MAX)
        self._counts[addresses] = 0
        self._step += 1
        return TimeStep(addresses, values)

    def _unwrapped(self, t: NDArray[np.uint32]) -> NDArray[np.int64]:
        """Microseconds since the first record; the counter of the records wraps."""
        raw = t.astype(np.int64)
        if self._origin is None:
            self._origin, self._last = int(raw[0]), int(raw[0])
        moved = np.diff(raw, prepend=self._last)
        # A step back of more than half the range is a step forward.
        moved = (moved + (1 << 31)) % (1 << 32) - (1 << 31)
        times = self._elapsed + np.cumsum(moved)
        self._last, self._elapsed = int(raw[-1]), int(times[-1])
        since: NDArray[np.int64] = np.maximum(times, 0)
        return since

    def _check(self, records: Records) -> None:
        bad = (records["kind"] == Kind.EVENT) & (records["address"] >= self._inputs)
        unknown = records["kind"] > max(Kind)
        for wrong, field, remedy in (
            (bad, "address", f"the network has inputs 0..{self._inputs - 1}"),
            (unknown, "kind", f"kinds are 0..{int(max(Kind))}"),
        ):
            if wrong.any():
                at = int(np.flatnonzero(wrong)[0])
                raise OpzoError(
                    f"record {self._records + at} of {self._name} has {field} {int(records[field][at])}; {remedy}"
                )


def read_pipe(pipe: BinaryIO, name: str, stop: Callable[[], bool]) -> Iterator[Records]:
    """Records of a pipe or file as they come, until its end or ``stop``."""
    rest = b""
    while not stop():
        if not select.select([pipe], [], [], WAIT)[0]:
            continue
        # What there is, without waiting for a full buffer.
        data = pipe.read1(DATAGRAM_BYTES) if hasattr(pipe, "read1") else pipe.read(DATAGRAM_BYTES)
        if not data:
            if rest:
                raise OpzoError(f"{name} ends inside a record ({len(rest)} of {RECORD.itemsize} bytes)")
            return
        whole = len(rest + data) // RECORD.itemsize * RECORD.itemsize
        rest, data = (rest + data)[whole:], (rest + data)[:whole]
        yield np.frombuffer(data, RECORD)


def read_udp(address: tuple[str, int], name: str, stop: Callable[[], bool]) -> Iterator[Records]:
    """Records of the datagrams that come to a host and port, until a record END or ``stop``."""
    try:
        receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        receiver.bind(address)
    except OSError as error:
        raise OpzoError(f"cannot listen on {name}: {error.strerror or error}; choose another port") from None
    with receiver:
        while not stop():
            if not select.select([receiver], [], [], WAIT)[0]:
                continue
            data, sender = receiver.recvfrom(DATAGRAM_BYTES)
            if len(data) % RECORD.itemsize:
                raise OpzoError(
                    f"a datagram from {sender[0]} to {name} has {len(data)} bytes; a record has {RECORD.itemsize}"
                )
            records = np.frombuffer(data, RECORD)
            yield records
            if (records["kind"] == Kind.END).any():
                return


def parse_address(text: str) -> tuple[str, int]:
    """Host and port of ``KIND:PORT`` (this machine) or ``KIND:HOST:PORT``."""
    kind, _, address = text.partition(":")
    host, _, port = address.rpartition(":")
    if not port.isdigit() or not 0 <= int(port) <= 0xFFFF:
        raise OpzoError(f"'{text}' is no network address; write {kind}:PORT or {kind}:HOST:PORT")
    return host or "127.0.0.1", int(port)
