"""Commands of the link: their payloads, the replies to them, and the errors.

Errors
    A reply begins with a Status. Errors are checked in the order of the table, the first one found is answered, and the
    command has no other effect. The exceptions are EVENTS and RUN. EVENTS checks only its length: events that are
    invalid are answered OK and remembered, and the RUN that ends the input reports them. A RUN that is answered with an
    error discards its input. The bounds are the network's inputs and classes (registers INPUTS and CLASSES), or the
    device's where those are fewer.

    An unknown command is answered with its own code | REPLY as well. For code 0x7F that is the code of a NAK, which
    differs by its payload of two bytes.
"""

from dataclasses import dataclass
from enum import IntFlag
from functools import cached_property
from struct import Struct
from typing import Any, Self

from opzo.spec.described import Described
from opzo.spec.formats import MAX_STEPS

REPLY = 0x80
"""Added to the code of a command in its reply."""
NAK = 0xFF
"""Code of the answer to a frame that was not taken."""


class Command(Described):
    """Commands to the device; `REQUESTS` and `ANSWERS` have their payloads."""

    SYNC = 0x01, "Start a session, and identify the device."
    READ_REGISTERS = 0x02, "Read registers address, address + 1, ... An address that is not in the map reads 0."
    WRITE_REGISTERS = 0x03, "Write registers address, address + 1, ... An address that is not in the map is ignored."
    READ_MEMORY = 0x04, "Read rows of a memory."
    WRITE_MEMORY = 0x05, "Write rows of a memory."
    EVENTS = 0x06, "Append to the input of the next run."
    RUN = 0x07, "Append to the input, and run it."
    RESET = 0x08, "Discard unfinished input. Memories, registers, session and counters stay."


class NakReason(Described):
    """Why a frame was not taken."""

    MALFORMED = 1, "Wrong size, escape or crc."
    ORDER = 2, "seq is not the expected one, nor that of a frame that may be repeated."
    NO_SESSION = 3, "The device was reset: SYNC must come first."


class Status(Described):
    """First byte of every reply but NAK; in the order in which errors are checked."""

    OK = 0, "Executed."
    BAD_COMMAND = 1, "Unknown command."
    BAD_LENGTH = (
        2,
        "Payload of the wrong size: fields missing or left over, an odd number of bytes for pairs, no registers or no "
        "rows, an incomplete row, or a reply longer than a frame can be. Such an EVENTS appends nothing.",
    )
    BAD_ADDRESS = 3, "A memory or a row that does not exist, or WRITE_MEMORY to a memory that is read only."
    BAD_EVENT = 4, "RUN: an event at or above the network's inputs, or a graded event with value 0."
    FULL = 7, "RUN: more events than a chunk can have."
    BAD_STEPS = (
        6,
        "RUN: a chunk without time steps, with more than the device allows (one for GRADED), or with events after the "
        "last end of a time step.",
    )
    BAD_LABEL = 5, "RUN: a label at or above the network's classes."


class RunFlag(IntFlag):
    """What RUN does with its input; other bits are ignored."""

    meaning: str

    TRAIN = 1, "Learn. Without it only infer: no noise, no update."
    OUTPUTS = 2, "Reply with the summed readouts as well."
    FRESH = 4, "Set membrane potentials and presynaptic traces to 0, and begin a new decision. Always so for a frame."
    DECISION = (
        8,
        f"Begin a new decision: sum readouts and losses from this run on. At the latest after {MAX_STEPS} steps.",
    )

    def __new__(cls, value: int, meaning: str = "") -> Self:
        """Flag with its meaning; combinations have none."""
        flag = int.__new__(cls, value)
        flag._value_, flag.meaning = value, meaning
        return flag

    @property
    def bit(self) -> int:
        """Number of the bit of a single flag."""
        return self.value.bit_length() - 1


CODES = {"u8": "B", "u16": "H", "u32": "I", "i32": "i"}
"""Types of fields, little-endian, with their codes for `struct`."""


@dataclass(frozen=True)
class Field:
    """One number in a payload.

    Attributes
    ----------
    name : str
    type : str
        ``u8``, ``u16``, ``u32`` or ``i32``.
    meaning : str
    """

    name: str
    type: str
    meaning: str

    @property
    def bits(self) -> int:
        """Width."""
        return int(self.type[1:])


@dataclass(frozen=True)
class Payload:
    """Layout of a payload: fields of fixed size, then what its length decides.

    Attributes
    ----------
    fields : tuple of Field
    rest : str
        What follows, in words; empty where nothing does.
    """

    fields: tuple[Field, ...] = ()
    rest: str = ""

    @cached_property
    def struct(self) -> Struct:
        """Packs and unpacks the fields."""
        return Struct("<" + "".join(CODES[field.type] for field in self.fields))

    @cached_property
    def size(self) -> int:
        """Bytes of the fields."""
        return self.struct.size

    def pack(self, *values: int) -> bytes:
        """Bytes of the fields' values, in their order."""
        return self.struct.pack(*values)

    def unpack(self, data: bytes) -> tuple[Any, ...]:
        """Values of the fields at the beginning of ``data``; struct.error where that is too short."""
        return self.struct.unpack_from(data)


_ADDRESS = Field("address", "u8", "first register")
_PLACE = (Field("space", "u8", "number of the memory"), Field("address", "u32", "first row"))
_INPUT = "events, as pairs of bytes or codes"

REQUESTS = {
    Command.SYNC: Payload((Field("nonce", "u32", "names the session"),)),
    Command.READ_REGISTERS: Payload((_ADDRESS, Field("count", "u8", "registers, 1 or more"))),
    Command.WRITE_REGISTERS: Payload((_ADDRESS,), "n x u32: contents"),
    Command.READ_MEMORY: Payload((*_PLACE, Field("rows", "u16", "rows, 1 or more"))),
    Command.WRITE_MEMORY: Payload(_PLACE, "n x lanes x u16: contents of n rows, 1 or more"),
    Command.EVENTS: Payload((), _INPUT),
    Command.RUN: Payload((Field("flags", "u8", "RunFlag"), Field("label", "u8", "class of the sample")), _INPUT),
    Command.RESET: Payload(),
}
"""Payload of each command."""

ANSWERS = {
    Command.SYNC: Payload((), "Identity"),
    Command.READ_REGISTERS: Payload((), "count x u32: contents"),
    Command.WRITE_REGISTERS: Payload(),
    Command.READ_MEMORY: Payload((), "rows x lanes x u16: contents"),
    Command.WRITE_MEMORY: Payload(),
    Command.EVENTS: Payload(),
    Command.RUN: Payload(
        (
            Field("prediction", "u8", "class with the largest summed readout, the lowest of equals"),
            Field("loss", "u32", "loss in bits, 8 fraction bits, summed over the time steps of the decision"),
        ),
        "with OUTPUTS: classes x i32, readouts summed over the time steps of the decision, 12 fraction bits",
    ),
    Command.RESET: Payload(),
}
"""Payload of the reply to each command with status OK, after the status."""

NAK_PAYLOAD = Payload((Field("reason", "u8", "NakReason"), Field("expected", "u8", "seq of the next frame to send")))
