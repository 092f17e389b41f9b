"""Readers of live sources: records from a pipe, and from UDP datagrams."""

import select
import socket
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import BinaryIO

import numpy as np

from opzo.host.stream.live_counts import LiveCounts
from opzo.host.stream.live_source import RECORD, RecordKind, Records
from opzo.spec.errors import OpzoError

DATAGRAM_BYTES = 65535
BUFFER_BYTES = 1 << 22
"""Requested receive buffer of the socket, for data that arrive while the chip works; the system may give less."""
WAIT = 0.1
"""Seconds between checks whether to stop; also the time in which records after END are counted."""
SO_MEMINFO, MEMINFO = 55, struct.Struct("=9I")
"""Socket option of Linux: memory counters of the socket; the last one is the number of dropped datagrams."""


def read_pipe(
    pipe: BinaryIO, name: str, stop: Callable[[], bool], counts: LiveCounts | None = None
) -> Iterator[Records]:
    """Records of a pipe or file as they arrive, until its end, a record END or ``stop``."""
    rest = b""

    def read() -> bytes:
        # Available data, without waiting for a full buffer.
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
        complete = len(rest + data) // RECORD.itemsize * RECORD.itemsize
        rest, data = (rest + data)[complete:], (rest + data)[:complete]
        records = np.frombuffer(data, RECORD)
        yield records
        if (records["kind"] == RecordKind.END).any():
            if counts is not None:
                counts.after_end += _drain(pipe, read)
            return


def read_udp(
    address: tuple[str, int], name: str, stop: Callable[[], bool], counts: LiveCounts | None = None
) -> Iterator[Records]:
    """Records of datagrams to a host and port, until a record END or ``stop``.

    Datagrams of a wrong size are skipped and counted; without ``counts`` the first one raises OpzoError.
    """
    counts = LiveCounts() if counts is None else counts
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
                if (records["kind"] == RecordKind.END).any():
                    counts.after_end += _drain(receiver, lambda: receiver.recv(DATAGRAM_BYTES))
                    return
        finally:
            lost = _lost(receiver)
            if lost is not None:
                counts.datagrams_lost = lost_before + lost


def _drain(source: BinaryIO | socket.socket, read: Callable[[], bytes]) -> int:
    """Read and count records that are pending or arrive within WAIT."""
    found, end = 0, time.monotonic() + WAIT
    while (left := end - time.monotonic()) > 0 and select.select([source], [], [], left)[0]:
        data = read()
        if not data:
            break
        found += len(data)
    return found // RECORD.itemsize


def _lost(receiver: socket.socket) -> int | None:
    """Datagrams that the operating system dropped because the socket was full; None if it does not report them."""
    with suppress(OSError, struct.error):
        lost: int = MEMINFO.unpack(receiver.getsockopt(socket.SOL_SOCKET, SO_MEMINFO, MEMINFO.size))[-1]
        return lost
    return None


def parse_address(text: str) -> tuple[str, int]:
    """Host and port of ``KIND:PORT`` (this machine) or ``KIND:HOST:PORT``."""
    kind, _, address = text.partition(":")
    host, _, port = address.rpartition(":")
    if not (port.isascii() and port.isdecimal() and len(port) < 6 and int(port) <= 0xFFFF):
        raise OpzoError(f"'{text}' is not a network address; write {kind}:PORT or {kind}:HOST:PORT")
    return host or "127.0.0.1", int(port)
