"""Register map of the chip behind a bus (``opzo verilog --bus axi`` and ``wishbone``), and its samples and results.

Addresses are bytes, registers are 32 bits wide and little-endian. A write must write all four bytes.

Access
    - Reading changes nothing, and answers 0 where nothing is. An access that cannot be done is answered with an error
      (AXI SLVERR, Wishbone ERR) and has no effect.
    - Writing a register of the core, MEMORY_READ, MEMORY_WRITE and OWNER wait until the runs that were accepted have
      ended and the core is idle; no new sample begins meanwhile. The wait is bounded, because there is room for the
      results of all accepted runs. While a sample has begun (BEGUN in STATUS) they are errors: RUN or DISCARD ends it.
    - Counters are exact while IDLE in STATUS is 1.

Samples
    A sample is a packet of words. Each word but the last is an event or an end of time steps; the last, which has TLAST
    in a stream and is written to RUN otherwise, runs the sample. Each packet has one result, in the same order. Events
    are in strictly ascending order of address within a time step, or within a frame. At most 4 results wait to be
    taken; further samples wait for them.

Results
    A result is a packet as well: a head, and if its status is OK the loss, then with the flag OUTPUTS the summed
    readouts (two's complement, 12 fraction bits), one word for each class. The loss has 8 fraction bits. A run that is
    refused changes nothing, and its result is the head alone.

Rows of memories
    MEMORY_READ copies a row of memory MEMORY_SPACE to the window ROW, MEMORY_WRITE the window to the row. Word k of the
    window has the entry of lane 2 k in its low half, that of lane 2 k + 1 in its high half.

Link
    While OWNER is 1, the core belongs to the byte link with the protocol of UARTs, and registers of the core, memories
    and samples are out of reach of the bus. Bytes travel through two rings of 1,024 bytes. The host writes bytes to
    LINK_IN, byte n at address n mod 1024, then their count since the beginning to LINK_IN_PUT; the device counts in
    LINK_IN_TAKEN those that it has taken. LINK_OUT_PUT counts the bytes in LINK_OUT, and the host writes to
    LINK_OUT_TAKEN how many it has taken. Counts wrap at 65,536. The link is reset while OWNER is 0.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from opzo.spec.commands import RunFlag, Status
from opzo.spec.described import Described
from opzo.spec.events import Chunk
from opzo.spec.memories import Space
from opzo.spec.protocol import IDENTITY
from opzo.spec.registers import REGISTERS

MAP_VERSION = 1
"""Version of this map; that of the registers in it is in the identity."""
ADDRESS_BITS = 12
WORD_BYTES = 4
CORE, IDENTITY_BASE, CONTROL, ROW, LINK_IN, LINK_OUT = 0x000, 0x400, 0x480, 0x500, 0x800, 0xC00
"""First addresses of: registers of the core, identity, the bus's own registers, the row window, and the rings."""
ROW_BYTES, RING_BYTES = 0x100, 0x400
COUNT_BITS = 16
"""Bits of the counts of the rings."""
PENDING_RESULTS = 4
"""Results that may wait to be taken, or be under way."""
TAG_BITS = 8


@dataclass(frozen=True)
class BitField:
    """Bits of a word: ``low`` is the number of the lowest."""

    name: str
    low: int
    bits: int
    meaning: str

    def of(self, word: int) -> int:
        """Value of the field in a word."""
        return word >> self.low & ((1 << self.bits) - 1)


class StatusBit(Described):
    """Bits of STATUS."""

    IDLE = 0, "No sample has begun, no run is under way, and every setting has taken effect."
    BEGUN = 1, "Words of a sample were taken, and the one that runs it was not."
    RESULT = 2, "A word of a result waits to be taken."
    ROOM = 3, "There is room for the result of another run."
    READY = 4, "A word of a sample would be taken at once."


class Interrupt(Described):
    """Bits of INTERRUPT_PENDING and INTERRUPT_ENABLE."""

    RESULT = 0, "A result is complete."
    REFUSED = 1, "A run was refused."
    IDLE = 2, "IDLE in STATUS has become 1."
    LINK = 3, "The link has put a byte into LINK_OUT."


class Owner(Described):
    """Values of OWNER."""

    BUS = 0, "The core belongs to the bus."
    LINK = 1, "The core belongs to the byte link."


def _bits(kinds: Sequence[StatusBit | Interrupt]) -> tuple[BitField, ...]:
    return tuple(BitField(kind.name, kind.value, 1, kind.meaning) for kind in kinds)


@dataclass(frozen=True)
class BusRegister:
    """A register of the bus, or an array of them.

    Attributes
    ----------
    name : str
    address : int
        In bytes.
    bits : int
        Low bits that it has; the others read 0.
    access : str
        ``rw``; ``r``: writing is an error; ``w``: reads 0.
    meaning : str
    fields : tuple of BitField
        Empty where it is one number.
    count : int
        Registers of an array, one after the other.
    clears : bool
        Writing 1 clears a bit.
    """

    name: str
    address: int
    bits: int
    access: str
    meaning: str
    fields: tuple[BitField, ...] = ()
    count: int = 1
    clears: bool = False


EVENT_FIELDS = (
    BitField("ADDRESS", 0, 16, "Input."),
    BitField("VALUE", 16, 8, "1 to 255. With SPIKES without effect; an event of a frame with value 0 is left out."),
    BitField("ENDS", 24, 4, "If not 0, that many time steps end, and the word is no event."),
    BitField("RESERVED", 28, 4, "0."),
)
"""A word of a sample but the last."""
RUN_FIELDS = (
    BitField("FLAGS", 0, 8, ", ".join(f"{flag.value} {flag.name}" for flag in RunFlag) + "; other bits are ignored."),
    BitField("LABEL", 8, 8, "Class."),
    BitField("TAG", 16, TAG_BITS, "Comes back with the result."),
    BitField("RESERVED", 24, 8, "Ignored."),
)
"""The last word of a sample."""
RESULT_FIELDS = (
    BitField("PREDICTION", 0, 8, "Class with the largest summed readout, the lowest of equals."),
    BitField("STATUS", 8, 8, "Status as in the link's protocol: 0 OK, BAD_EVENT, FULL, BAD_STEPS or BAD_LABEL."),
    BitField("TAG", 16, TAG_BITS, "That of the sample."),
    BitField("MORE", 24, 8, "Number of words that follow."),
)
"""The head of a result."""


def _control() -> Iterator[BusRegister]:
    count = f"Bytes, modulo {1 << COUNT_BITS}, that the "
    table: tuple[tuple[Any, ...], ...] = (
        (
            "MAP",
            17,
            "r",
            "What the bus is.",
            BitField("VERSION", 0, 16, "Version of this map."),
            BitField("STREAMS", 16, 1, "1: samples and results travel in streams of their own."),
        ),
        ("STATUS", len(StatusBit), "r", "What the chip does.", *_bits(tuple(StatusBit))),
        (
            "INTERRUPT_PENDING",
            len(Interrupt),
            "rw",
            "What has happened. Writing 1 clears a bit.",
            *_bits(tuple(Interrupt)),
        ),
        (
            "INTERRUPT_ENABLE",
            len(Interrupt),
            "rw",
            "The interrupt is high while a bit is set here and in INTERRUPT_PENDING.",
            *_bits(tuple(Interrupt)),
        ),
        (
            "OWNER",
            1,
            "rw",
            "Whom the core belongs to: "
            + ", ".join(f"{owner.value} {owner.name}" for owner in Owner)
            + ". Taking it from the link is an error while the link works on a frame or has bytes to put.",
        ),
        ("DISCARD", 0, "w", "Writing any value discards the words of a sample that has begun."),
        (
            "MEMORY_SPACE",
            3,
            "rw",
            "Memory: " + ", ".join(f"{space.value} {space.name}" for space in Space) + ".",
        ),
        ("MEMORY_READ", 32, "w", "Copies the row of this number to ROW. A row that does not exist is an error."),
        (
            "MEMORY_WRITE",
            32,
            "w",
            "Copies ROW to the row of this number. A row that does not exist or is read only is an error.",
        ),
        (
            "SAMPLE",
            32,
            "w",
            "A word of a sample but the last; waits while two runs are under way. With STREAMS an error.",
            *EVENT_FIELDS,
        ),
        (
            "RUN",
            32,
            "w",
            "The last word of a sample. An error without ROOM, and with STREAMS.",
            *RUN_FIELDS,
        ),
        ("RESULT", 32, "r", "The next word of the results; 0 where none waits, and with STREAMS.", *RESULT_FIELDS),
        (
            "RESULT_TAKE",
            0,
            "w",
            "Writing any value removes that word. An error where none waits, and with STREAMS.",
        ),
        ("LINK_IN_PUT", COUNT_BITS, "rw", count + "host has put into LINK_IN. More than its room is an error."),
        ("LINK_IN_TAKEN", COUNT_BITS, "r", count + "device has taken from LINK_IN."),
        ("LINK_OUT_PUT", COUNT_BITS, "r", count + "device has put into LINK_OUT."),
        (
            "LINK_OUT_TAKEN",
            COUNT_BITS,
            "rw",
            count + "host has taken from LINK_OUT. Beyond LINK_OUT_PUT it is an error.",
        ),
    )
    for offset, (name, bits, access, meaning, *fields) in enumerate(table):
        clears = name == "INTERRUPT_PENDING"
        address = CONTROL + WORD_BYTES * offset
        yield BusRegister(name, address, bits, access, meaning, tuple(fields), clears=clears)


CONTROL_REGISTERS = {register.name: register for register in _control()}
"""The bus's own registers, by name."""


def _map() -> Iterator[BusRegister]:
    for each in REGISTERS.values():
        yield BusRegister(each.name, CORE + WORD_BYTES * each.address, each.bits, each.access, each.meaning)
    for index, field in enumerate(IDENTITY.fields):
        name, address = f"IDENTITY_{field.name.upper()}", IDENTITY_BASE + WORD_BYTES * index
        yield BusRegister(name, address, field.bits, "r", f"Identity: {field.meaning}.")
    yield from CONTROL_REGISTERS.values()
    yield BusRegister(
        "ROW", ROW, 32, "rw", "A row of a memory, two entries in each word.", count=ROW_BYTES // WORD_BYTES
    )
    words = RING_BYTES // WORD_BYTES
    yield BusRegister(
        "LINK_IN", LINK_IN, 32, "w", "Bytes to the link, four in each word, the first lowest.", count=words
    )
    yield BusRegister("LINK_OUT", LINK_OUT, 32, "r", "Bytes from the link, the same way.", count=words)


BUS_REGISTERS = tuple(_map())
"""The complete map, in order of addresses."""


def address_of(name: str) -> int:
    """Address of one of the bus's own registers."""
    return CONTROL_REGISTERS[name].address


def event_words(chunk: Chunk) -> list[int]:
    """Words of a sample but the last; the ends of empty time steps are joined."""
    words: list[int] = []
    begin = 0

    def events(stop: int) -> Iterator[int]:
        for address, value in zip(chunk.addresses[begin:stop].tolist(), chunk.values[begin:stop].tolist(), strict=True):
            yield address | value << EVENT_FIELDS[1].low

    ends = EVENT_FIELDS[2]
    for end in chunk.ends.tolist():
        if end == begin and words and 0 < ends.of(words[-1]) < (1 << ends.bits) - 1:
            words[-1] += 1 << ends.low
        else:
            words += [*events(end), 1 << ends.low]
        begin = end
    return [*words, *events(len(chunk.addresses))]


def run_word(flags: int, label: int, tag: int = 0) -> int:
    """The last word of a sample; ``tag`` 0..255."""
    return flags | label << RUN_FIELDS[1].low | tag << RUN_FIELDS[2].low


def result_head(status: Status, tag: int, prediction: int = 0, more: int = 0) -> int:
    """The head of a result that has ``more`` further words."""
    values = (prediction, status, tag, more)
    return sum(int(value) << field.low for value, field in zip(values, RESULT_FIELDS, strict=True))
