"""Commands of the link, with their payloads, and the answers to them.

Errors, in the order checked
    BAD_COMMAND: unknown code; the reply's code is code | REPLY all the same (a NAK differs by its payload, two bytes).
    BAD_LENGTH: payload of the wrong size (odd pairs, no registers or rows, rows not whole, a reply longer than a frame
    can say); such an EVENTS appends nothing. BAD_ADDRESS: space unknown, read-only for WRITE_MEMORY, or rows beyond its
    end (WEIGHTS has Identity.rows rows, LFSR 2, MEMBRANE 2 x words, HISTORY words, INPUT_HISTORY inputs / lanes,
    rounded up). BAD_EVENT, FULL, BAD_STEPS, BAD_LABEL, in this order, only for RUN; an EVENTS with such events is
    answered OK and remembered. What counts are the network's inputs and classes (registers INPUTS and CLASSES), or the
    device's where those are fewer. A RUN that is answered with an error discards its input.
"""

from enum import IntEnum, IntFlag


class Command(IntEnum):
    """Commands to the device, with their payloads and the payloads of their OK replies (after the Status byte)."""

    SYNC = 0x01
    """u32 nonce -> Identity."""
    READ_REGISTERS = 0x02
    """u8 address, u8 count (1..255) -> count x u32. Addresses wrap at 256; one that is not in the map reads 0."""
    WRITE_REGISTERS = 0x03
    """u8 address, n x u32 -> nothing. Writes address, address + 1, ...; an address not in the map is ignored."""
    READ_MEMORY = 0x04
    """u8 Space, u32 address, u16 rows (1 or more) -> rows x lanes x u16."""
    WRITE_MEMORY = 0x05
    """u8 Space, u32 address, n x lanes x u16 (n >= 1) -> nothing."""
    EVENTS = 0x06
    """pairs or codes -> nothing. Appends to the input."""
    RUN = 0x07
    """u8 RunFlag, u8 label, pairs or codes -> u8 prediction, u32 loss, and with OUTPUTS: C x i32 summed read-outs."""
    RESET = 0x08
    """nothing -> nothing. Discards unfinished input. Memories, registers, session and counters stay."""


REPLY = 0x80
NAK = 0xFF
"""u8 NakReason, u8 expected."""


class NakReason(IntEnum):
    """Why a frame was not taken."""

    MALFORMED = 1
    """Wrong size, escape or crc."""
    ORDER = 2
    NO_SESSION = 3


class Status(IntEnum):
    """First byte of every reply but NAK."""

    OK = 0
    BAD_COMMAND = 1
    BAD_LENGTH = 2
    BAD_ADDRESS = 3
    """A memory space or row that does not exist, or is read-only."""
    BAD_EVENT = 4
    """Event address at or above the network's inputs, or a graded event with value 0."""
    BAD_LABEL = 5
    """Label at or above the network's classes."""
    BAD_STEPS = 6
    """A chunk without time steps, with more than the device allows (GRADED: one), or with events behind the last."""
    FULL = 7
    """A chunk with more events than Limits.events."""


class RunFlag(IntFlag):
    """What RUN does with its input; other bits are ignored."""

    TRAIN = 1
    """Learn from it; without, only infer (no noise, no update)."""
    OUTPUTS = 2
    """Answer with the summed read-outs as well."""
    FRESH = 4
    """Begin anew: membrane potentials and presynaptic traces 0, and a new decision. A frame always does."""
    DECISION = 8
    """Begin a new decision: read-outs and losses are summed from this run on. At the latest after MAX_STEPS steps."""
