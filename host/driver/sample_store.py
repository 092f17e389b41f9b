"""Samples in the store of a device: written once, found again later.

The store begins with a header and an entry for each set of samples (`HEADER`, `ENTRY`); tables and samples follow
(``opzo.spec.store``). The header is written last, so that a device whose upload was interrupted has none or one that
does not fit what follows it. An upload sends only the parts that differ, so it goes on where it was interrupted.
"""

import struct
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from opzo.host.driver.raw_device import RawDevice
from opzo.host.driver.sample import Sample
from opzo.spec.errors import LinkError
from opzo.spec.store import ADDRESS_BYTES, MOST_INPUT, record

MAGIC = 0x54535A4F
"""'OZST' read as a little-endian word."""
FORMAT = 1
HEADER = struct.Struct("<IHHII")
"""Magic number, format, sets of samples, bytes in use (with the header), CRC-32 of those behind the header."""
ENTRY = struct.Struct("<24sIII")
"""Name in UTF-8, number of samples, address of the table, bytes of table and samples."""
NAME_BYTES = 24
SEGMENT = 1 << 16
"""Bytes that are compared, and sent again where they differ."""

Progress = Callable[[int, int], None]
"""Called with the bytes that are done and all bytes."""


@dataclass(frozen=True)
class StoredSet:
    """A set of samples in the store.

    Attributes
    ----------
    name : str
    samples, table, size : int
        Number of samples, address of their table, bytes of table and samples.
    """

    name: str
    samples: int
    table: int
    size: int


@dataclass(frozen=True)
class StoreImage:
    """What a store contains: its bytes, from address 0 on, and the sets in them."""

    data: bytes
    sets: tuple[StoredSet, ...]


def store_image(sets: Iterable[tuple[str, Iterable[Sample], int]], room: int) -> StoreImage | None:
    """Contents of a store with sets of samples; None where they need more than ``room`` bytes.

    Parameters
    ----------
    sets : iterable of (str, iterable of Sample, int)
        Name, samples and number of samples of each set.
    room : int
        Bytes of the store.
    """
    named = [(name, samples, count) for name, samples, count in sets if count]
    place = HEADER.size + len(named) * ENTRY.size
    parts, stored = bytearray(), []
    for name, samples, count in named:
        table, records, addresses = place, bytearray(), []
        begin = table + ADDRESS_BYTES * count
        for sample in samples:
            if max(map(len, sample.runs)) > MOST_INPUT or begin + len(records) > room:
                return None
            addresses.append(begin + len(records))
            records += record(sample.runs, sample.label)
        parts += struct.pack(f"<{count}I", *addresses) + records
        place = begin + len(records)
        stored.append(StoredSet(_short(name), count, table, place - table))
    if place > room:
        return None
    entries = b"".join(ENTRY.pack(each.name.encode(), each.samples, each.table, each.size) for each in stored)
    body = entries + parts
    return StoreImage(HEADER.pack(MAGIC, FORMAT, len(stored), place, zlib.crc32(body)) + body, tuple(stored))


def upload(device: RawDevice, image: StoreImage, progress: Progress = lambda done, total: None) -> int:
    """Make the store of a device contain ``image``; the number of bytes that had to be sent.

    Compares check sums first. LinkError where the store does not keep what was written.
    """
    data, sent = image.data, 0
    # Segment by segment from the end, so that the header is the last.
    for begin in reversed(range(0, len(data), SEGMENT)):
        part = data[begin : begin + SEGMENT]
        if device.check_store(begin, len(part)) != zlib.crc32(part):
            device.write_store(begin, part)
            sent += len(part)
            if device.check_store(begin, len(part)) != zlib.crc32(part):
                raise LinkError(
                    f"the sample store of {device.name} does not keep what is written at {begin:#x}; check the memory "
                    "of the board, or train without the store (--store 0)"
                )
        progress(len(data) - begin, len(data))
    return sent


def stored_sets(device: RawDevice) -> tuple[StoredSet, ...]:
    """Sets of samples in the store of a device; none where it has no complete contents."""
    room = device.limits.store
    if room < HEADER.size:
        return ()
    magic, version, count, size, crc = HEADER.unpack(device.read_store(0, HEADER.size))
    if (
        (magic, version) != (MAGIC, FORMAT)
        or not HEADER.size + count * ENTRY.size < size <= room
        or size % 2
        or not count
    ):
        return ()
    if device.check_store(HEADER.size, size - HEADER.size) != crc:
        return ()
    entries = device.read_store(HEADER.size, count * ENTRY.size)
    return tuple(
        StoredSet(name.rstrip(b"\0").decode(errors="replace"), samples, table, part)
        for name, samples, table, part in ENTRY.iter_unpack(entries)
    )


def erase(device: RawDevice) -> None:
    """Forget what the store contains: its header is overwritten."""
    device.write_store(0, bytes(HEADER.size))


def _short(name: str) -> str:
    return name.encode()[:NAME_BYTES].decode(errors="ignore")
