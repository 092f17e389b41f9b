"""The ``uio`` device: a chip behind AXI4-Lite or Wishbone, mapped into memory by Linux (UIO, or /dev/mem).

Bytes of the link travel through the rings of ``opzo.spec.bus``, so protocol and driver are those of a serial port. The
chip's registers answer at once, so the transport looks at them again and again, and needs no interrupt.
"""

import fcntl
import mmap
import os
import time
from contextlib import suppress

from opzo.spec.bus import (
    ADDRESS_BITS,
    COUNT_BITS,
    IDENTITY_BASE,
    LINK_IN,
    LINK_OUT,
    MAP_VERSION,
    RING_BYTES,
    WORD_BYTES,
    Owner,
    StatusBit,
    address_of,
)
from opzo.spec.errors import OpzoError
from opzo.spec.messages import shown
from opzo.spec.protocol import MAGIC

SIZE = 1 << ADDRESS_BITS
"""Bytes of the map."""
WRITE_TIMEOUT = 10.0
"""Default time in seconds in which the device must take some of the bytes that are written."""
PAUSE = 50e-6
"""Seconds between two looks at the device while nothing comes."""
_COUNT = (1 << COUNT_BITS) - 1


class UioTransport:
    """The rings of a chip whose registers lie in the file ``path`` from ``offset`` on; exclusive.

    Takes the core from the bus, and leaves it to the link when it is closed. Raises OpzoError where the file cannot be
    mapped, has no such chip, or is used by another program.

    Every access is one aligned word of 32 bits, as AXI4-Lite needs.
    """

    def __init__(self, path: str, offset: int = 0, write_timeout: float = WRITE_TIMEOUT) -> None:
        self._write_timeout = write_timeout
        self._received = bytearray()
        self._file = _open(path)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._map = mmap.mmap(self._file, SIZE, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE, offset=offset)
        except BlockingIOError:
            os.close(self._file)
            raise OpzoError(f"{path} is busy; close the other program that uses it") from None
        except (OSError, ValueError) as error:
            os.close(self._file)
            raise OpzoError(
                f"{path} cannot be mapped at 0x{offset:x} ({error}); is it the device of a bus of opzo?"
            ) from None
        self._words = memoryview(self._map).cast("I")
        try:
            self._take(path)
        except OpzoError:
            self.close()
            raise

    def _take(self, path: str) -> None:
        """Check that it is a chip of this map, and give the core to the link."""
        if self._words[IDENTITY_BASE // WORD_BYTES] != MAGIC:
            raise OpzoError(f"there is no opzo at {path}; is the bitstream loaded, and the address right?")
        version = self._read("MAP") & 0xFFFF
        if version != MAP_VERSION:
            raise OpzoError(f"{path} has version {version} of the register map, this opzo version {MAP_VERSION}")
        if self._read("STATUS") >> StatusBit.BEGUN & 1:
            raise OpzoError(f"a sample has begun on the bus of {path}; finish it, or write DISCARD")
        if self._read("OWNER") != Owner.LINK:
            self._write("OWNER", Owner.LINK)
        self._put = self._read("LINK_IN_PUT")
        self._taken = self._read("LINK_OUT_TAKEN")
        # What an earlier program did not read.
        self._drain()
        self._received.clear()
        # The ring can only be read by the device, so its bytes are kept here, for words that are written in parts.
        self._ring = bytearray(RING_BYTES)

    def _read(self, name: str) -> int:
        return self._words[address_of(name) // WORD_BYTES]

    def _write(self, name: str, value: int) -> None:
        self._words[address_of(name) // WORD_BYTES] = value

    def _open_or_fail(self) -> None:
        if self._file < 0:
            raise OSError("the device was closed")

    def _drain(self) -> None:
        """Take all bytes that have come."""
        count = (self._read("LINK_OUT_PUT") - self._taken) & _COUNT
        if not count:
            return
        first, last = self._taken, self._taken + count - 1
        # Words in the order of bytes, around the end of the ring.
        words = (
            self._words[(LINK_OUT + n * WORD_BYTES % RING_BYTES) // WORD_BYTES]
            for n in range(first // WORD_BYTES, last // WORD_BYTES + 1)
        )
        data = b"".join(word.to_bytes(WORD_BYTES, "little") for word in words)
        self._received += data[first % WORD_BYTES :][:count]
        self._taken = (self._taken + count) & _COUNT
        self._write("LINK_OUT_TAKEN", self._taken)

    def write(self, data: bytes) -> None:
        """Put ``data`` into the ring as there is room; OSError where the device takes none of it for long."""
        self._open_or_fail()
        deadline = time.monotonic() + self._write_timeout
        while data:
            room = RING_BYTES - ((self._put - self._read("LINK_IN_TAKEN")) & _COUNT)
            if room:
                part, data = data[:room], data[room:]
                self._put_bytes(part)
                deadline = time.monotonic() + self._write_timeout
            elif time.monotonic() > deadline:
                raise OSError(f"the device took no bytes for {self._write_timeout:g} s")
            else:
                # The device takes nothing while nobody takes what it sends.
                self._drain()
                time.sleep(PAUSE)

    def _put_bytes(self, data: bytes) -> None:
        first, ring = self._put, self._ring
        for index, byte in enumerate(data, first):
            ring[index % RING_BYTES] = byte
        for n in range(first // WORD_BYTES, (first + len(data) - 1) // WORD_BYTES + 1):
            place = n * WORD_BYTES % RING_BYTES
            word = int.from_bytes(ring[place : place + WORD_BYTES], "little")
            self._words[(LINK_IN + place) // WORD_BYTES] = word
        self._put = (first + len(data)) & _COUNT
        self._write("LINK_IN_PUT", self._put)

    def read(self, timeout: float) -> bytes:
        """Bytes that have come; waits at most ``timeout`` seconds for the first."""
        self._open_or_fail()
        deadline = time.monotonic() + timeout
        self._drain()
        while not self._received and time.monotonic() < deadline:
            time.sleep(PAUSE)
            self._drain()
        data = bytes(self._received)
        self._received.clear()
        return data

    def close(self) -> None:
        """Release the file; a second call does nothing."""
        if self._file < 0:
            return
        self._words.release()
        self._map.close()
        with suppress(OSError):
            os.close(self._file)
        self._file = -1


def open_uio(address: str) -> UioTransport:
    """Chip of an address, ``FILE`` or ``FILE@OFFSET``."""
    path, at, text = address.rpartition("@")
    if not at:
        return UioTransport(address)
    try:
        offset = int(text, 0)
    except ValueError:
        offset = -1
    if offset < 0 or offset % mmap.ALLOCATIONGRANULARITY:
        raise OpzoError(
            f"{shown(text)} is not an offset; write a multiple of 0x{mmap.ALLOCATIONGRANULARITY:x}, such as "
            f"uio:{path}@0x43c00000"
        )
    return UioTransport(path, offset)


def _open(path: str) -> int:
    try:
        # O_SYNC: accesses of /dev/mem are not cached.
        return os.open(path, os.O_RDWR | os.O_SYNC | os.O_CLOEXEC)
    except PermissionError:
        raise OpzoError(f"no permission to open {path}; run as root, or give yourself access by a udev rule") from None
    except OSError as error:
        raise OpzoError(f"{path} cannot be opened ({error.strerror}); is the driver of the device loaded?") from None
