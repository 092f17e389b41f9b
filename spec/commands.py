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
    READ_STORE = 0x09, "Read bytes of the sample store."
    WRITE_STORE = 0x0A, "Write bytes of the sample store."
    CHECK_STORE = 0x0B, "CRC-32 (as that of frames) of bytes of the sample store."
    RUN_STORED = 0x0C, "Write registers, then train or test on a block of samples of the sample store."


RUN_COMMANDS = (Command.RUN, Command.RUN_STORED)
"""Commands whose reply comes when the engine has finished. They are executed once, and their replies are kept."""
STATUS_COMMANDS = (Command.EVENTS, Command.WRITE_STORE)
"""Commands that are not executed again: their status is sent again. So several of them may be under way."""
STORE_COMMANDS = (Command.READ_STORE, Command.WRITE_STORE, Command.CHECK_STORE, Command.RUN_STORED)
"""Commands that a device without a sample store does not know."""


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
        "rows, an incomplete row, an odd number of bytes of the sample store or none, or a reply longer than a frame "
        "can be. Such an EVENTS appends nothing.",
    )
    BAD_ADDRESS = (
        3,
        "A memory or a row that does not exist, WRITE_MEMORY to a memory that is read only, bytes beyond the sample "
        "store or at an odd address of it.",
    )
    BAD_BLOCK = (
        8,
        "RUN_STORED: no samples, more than a reply with ANSWERS has room for, positions beyond the samples, or a shift "
        "beyond the largest.",
    )
    BAD_EVENT = 4, "RUN: an event at or above the network's inputs, or a graded event with value 0."
    FULL = 7, "RUN: more events than a chunk can have."
    BAD_STEPS = (
        6,
        "RUN: a chunk without time steps, with more than the device allows (one for GRADED), or with events after the "
        "last end of a time step.",
    )
    BAD_LABEL = 5, "RUN: a label at or above the network's classes."
    NO_LEARNING = 9, "RUN: with TRAIN, to a device that only infers."


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


class StoredFlag(IntFlag):
    """What RUN_STORED does; other bits are ignored."""

    meaning: str

    TRAIN = 1, "Learn. Without it only infer: no noise, no update."
    ANSWERS = 2, "Reply with prediction and loss of each sample as well."

    def __new__(cls, value: int, meaning: str = "") -> Self:
        """Flag with its meaning; combinations have none."""
        flag = int.__new__(cls, value)
        flag._value_, flag.meaning = value, meaning
        return flag


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
_BYTES = Field("address", "u32", "first byte, even")
MOST_ANSWERS = 32
"""Most samples of a RUN_STORED with ANSWERS."""
SETTING = Payload((Field("address", "u8", "register"), Field("value", "u32", "content")))
"""A register that RUN_STORED writes before its runs."""

REQUESTS = {
    Command.SYNC: Payload((Field("nonce", "u32", "names the session"),)),
    Command.READ_REGISTERS: Payload((_ADDRESS, Field("count", "u8", "registers, 1 or more"))),
    Command.WRITE_REGISTERS: Payload((_ADDRESS,), "n x u32: contents"),
    Command.READ_MEMORY: Payload((*_PLACE, Field("rows", "u16", "rows, 1 or more"))),
    Command.WRITE_MEMORY: Payload(_PLACE, "n x lanes x u16: contents of n rows, 1 or more"),
    Command.EVENTS: Payload((), _INPUT),
    Command.RUN: Payload((Field("flags", "u8", "RunFlag"), Field("label", "u8", "class of the sample")), _INPUT),
    Command.RESET: Payload(),
    Command.READ_STORE: Payload((_BYTES, Field("bytes", "u16", "number of bytes, even, 2 or more"))),
    Command.WRITE_STORE: Payload((_BYTES,), "bytes, an even number, 2 or more"),
    Command.CHECK_STORE: Payload((_BYTES, Field("bytes", "u32", "number of bytes, even, 2 or more"))),
    Command.RUN_STORED: Payload(
        (
            Field("flags", "u8", "StoredFlag"),
            Field("shift", "u8", "most pixels by which images are shifted, 0 to 3; only with a seed"),
            Field("height", "u16", "rows of pixels of an image, where shift is not 0"),
            Field("row", "u16", "inputs of a row of pixels, likewise"),
            Field("pixel", "u16", "inputs of a pixel, likewise"),
            Field("table", "u32", "address of the table of samples, even"),
            Field("samples", "u32", "entries of the table"),
            Field("seed", "u32", "of the order of the samples and of their shifts; 0: as stored"),
            Field("first", "u32", "position of the block's first sample in the order"),
            Field("count", "u16", "samples of the block, 1 or more"),
        ),
        "n x (u8 address, u32 value): registers to write before the first sample",
    ),
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
    Command.READ_STORE: Payload((), "the bytes"),
    Command.WRITE_STORE: Payload(),
    Command.CHECK_STORE: Payload((Field("crc", "u32", "CRC-32"),)),
    Command.RUN_STORED: Payload(
        (
            Field("end", "u8", "Status that RUN would have answered to the sample that ended the block; 0: to none"),
            Field("samples", "u32", "samples that were run completely"),
            Field("correct", "u32", "of these, samples whose class was predicted correctly"),
            Field("loss", "u32", "sum of their losses, low 32 bits"),
            Field("loss_high", "u32", "high 32 bits of it"),
        ),
        "counters after the block, 27 x 2 x u32, as in the registers; with ANSWERS also, of each sample that was run, "
        "u32 prediction and u32 loss",
    ),
}
"""Payload of the reply to each command with status OK, after the status."""

NAK_PAYLOAD = Payload((Field("reason", "u8", "NakReason"), Field("expected", "u8", "seq of the next frame to send")))
