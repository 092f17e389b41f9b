"""Sample store: a memory of the device that keeps samples, from which it trains and tests without the link.

Sample store
    A device with Identity.store bytes of store keeps samples between sessions, until it loses power. The host writes
    them by WRITE_STORE as it likes; the device knows no more of their layout than what RUN_STORED needs: a table of the
    address of each sample (u32, even), and at that address the runs of the sample, one after the other. A run is a
    header of 4 bytes, its input as in the payload of RUN, and a byte 0 where the number of bytes is odd.

    CHECK_STORE gives the CRC-32 of a part of the store. So the host need not send again what the device still holds.

Runs from the store
    RUN_STORED trains or tests on a block of samples, as if the host had sent each by RUN, FRESH in its first run.
    It first waits until the engine is idle, discards unfinished input and writes the registers that are given with
    it. Sample k of the block (from 0) is the one that has position first + k in the shuffled order of ``samples``
    samples, and its events are moved by the shifts of that position (see Shuffled order and Shifts). Events are
    checked before they are moved. A RUN_STORED counts as a RUN in the flow control and in repetitions. In a block
    the device needs nothing from the host, and the next block may be sent meanwhile.

    A sample that RUN would refuse, or that lies beyond the store, ends the block before this run: the reply says why.
    The membrane potentials are then those after the run before it.
"""

from dataclasses import dataclass

from opzo.spec.commands import Field, Payload

ADDRESS_BYTES = 4
"""Bytes of an entry of the table of samples."""
RUN_HEADER = Payload(
    (
        Field("size", "u16", "bytes of its input"),
        Field("label", "u8", "class of the sample"),
        Field("last", "u8", "1 in the last run of the sample, else 0"),
    )
)
"""What comes before the input of a run in the store."""
MOST_INPUT = 0xFFFF
"""Longest input of a run in the store, in bytes."""


@dataclass(frozen=True)
class StoredRun:
    """One run of a sample in the store: its input (as in the payload of RUN), label, and whether it is the last."""

    input: bytes
    label: int
    last: bool

    def pack(self) -> bytes:
        """Bytes as stored: an even number."""
        size = len(self.input)
        return RUN_HEADER.pack(size, self.label, self.last) + self.input + bytes(size % 2)


def record(runs: tuple[bytes, ...], label: int) -> bytes:
    """Bytes of a sample in the store, from the input of each of its runs."""
    return b"".join(StoredRun(data, label, n == len(runs)).pack() for n, data in enumerate(runs, 1))
