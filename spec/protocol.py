"""Link protocol: frames over a byte stream, commands, and who may repeat what.

Byte layer (RFC 1055, SLIP)
    A frame is sent as END, escaped bytes, END: END is written ESC ESC_END, ESC is written ESC ESC_ESC. An empty frame
    is silently dropped, so noise between frames costs nothing. ESC followed by any other byte spoils the frame.

Frame (before escaping; little-endian)
    ======  ====  =======================================================================
    bytes   name  meaning
    ======  ====  =======================================================================
    0-1     len   bytes of payload, 0..MAX_PAYLOAD towards the device
    2       seq   sequence number, counts modulo 256
    3       code  Command; in replies Command | REPLY, or NAK
    4...    data  payload
    last 4  crc   CRC-32 (zlib.crc32) of all bytes before it
    ======  ====  =======================================================================
    A frame shorter than OVERHEAD, whose len differs from its size, longer than MAX_PAYLOAD + OVERHEAD, spoilt by a
    bad escape, or with a wrong crc is answered by NAK (with the reason) and has no other effect.

Order
    The device takes frames in order of seq: it executes the frame with seq = expected, then counts expected up. Every
    executed frame gets exactly one reply with its seq; the first byte of its payload is a Status. Frames that were
    executed before in this session (seq in expected-REPLAY .. expected-1, and the code that was executed) are never
    executed twice where that matters:

    - RUN: its stored reply is sent again if it is ready; if the sample is still queued or in the engine nothing is
      sent (the reply comes by itself).
    - EVENTS, and every frame that was answered with an error: the stored status is sent again.
    - all others: executed again if seq = expected-1 (doing so changes nothing), else nothing is sent. The payload may
      be another one: on a noisy line the host repeats READ_MEMORY and WRITE_MEMORY with fewer rows.

    Any other frame is answered by NAK with reason ORDER. NAK carries reason and expected, and its own seq is expected:
    the host goes back and sends again from there. After a reset there is no session: everything but SYNC is answered
    by NAK with reason NO_SESSION, and expected is 0.

    SYNC is taken whatever its seq is. With a nonce that differs from the session's it starts a session: it waits until
    the engine is idle, discards unfinished input (events received without RUN), forgets stored replies and sets
    expected = seq + 1. With the session's own nonce it changes nothing. It is answered with an Identity either way; one
    of the wrong size is answered BAD_LENGTH and changes nothing. SYNC itself is not among the executed frames above.

Flow control
    A device has Identity.credits input buffers. The host keeps at most that many RUN frames unanswered, so that input
    travels while a run is in the engine. Every command other than EVENTS and RUN waits until the engine is
    idle, and the host sends it only when no RUN is unanswered. A WRITE_REGISTERS or WRITE_MEMORY is therefore never
    seen by a sample that was sent before it. The host keeps at most REPLAY frames unanswered, so that each can be sent
    again; the device does not execute a frame before the RUN that is REPLAY frames older has been answered.

Runs
    A run is what the engine does at once: a frame sample, or a chunk of up to Identity.steps time steps of an event
    sample (``opzo.spec.events`` tells how they travel). EVENTS appends to its input, RUN appends to it and runs it. In
    a chunk every time step must be ended, and it can have at most Limits.events events: where time steps are fuller,
    chunks have fewer of them. Membrane potentials, presynaptic traces, and read-outs and losses summed for the decision
    go on from chunk to chunk until a RUN has the flag FRESH, as a frame always has, and the first run of a network.

Errors, in the order checked
    BAD_COMMAND: unknown code; the reply's code is code | REPLY all the same (a NAK differs by its payload, two bytes).
    BAD_LENGTH: payload of the wrong size (odd pairs, no registers or rows, rows not whole, a reply longer than a frame
    can say); such an EVENTS appends nothing. BAD_ADDRESS: space unknown, read-only for WRITE_MEMORY, or rows beyond its
    end (WEIGHTS has Identity.rows rows, LFSR 2, MEMBRANE 2 x words, HISTORY words, INPUT_HISTORY inputs / lanes,
    rounded up). BAD_EVENT, FULL, BAD_STEPS, BAD_LABEL, in this order, only for RUN; an EVENTS with such events is
    answered OK and remembered. What counts are the network's inputs and classes (registers INPUTS and CLASSES), or the
    device's where those are fewer. A RUN that is answered with an error discards its input.
"""

import struct
import zlib
from dataclasses import astuple, dataclass
from enum import IntEnum, IntFlag

from opzo.spec.network import Limits

VERSION = 3
"""Protocol and register map version; host and device must agree."""
MAGIC = 0x4F5A504F
"""'OPZO' read as a little-endian word."""

END, ESC, ESC_END, ESC_ESC = 0xC0, 0xDB, 0xDC, 0xDD
_ESCAPED = {bytes([ESC_END]): bytes([END]), bytes([ESC_ESC]): bytes([ESC])}

HEADER = struct.Struct("<HBB")
CRC = struct.Struct("<I")
OVERHEAD = HEADER.size + CRC.size
MAX_PAYLOAD = 1024
"""Largest payload towards the device. Replies to READ_MEMORY may be as long as rows x lanes x 2 + 1."""
REPLAY = 4
"""Number of last frames whose replies the device keeps."""
CREDITS = 2
"""Sample buffers of the device."""
BITS_A_BYTE = 10
"""Of a byte on a UART: start, eight bits, stop."""
MODELLED = 0xFFFFFFFF
"""Clock in an Identity of a device that has no engine."""


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


class Space(IntEnum):
    """Memories; one row is one u16 for each lane."""

    WEIGHTS = 0
    """Weights and feedback entries, two's complement, in units of WEIGHT whatever the memory's width; row = row-word.
    Read and write; a 12-bit memory keeps bits 2 to 13."""
    LFSR = 1
    """Row 0: low halves of the lanes' LFSR states, row 1: high halves. Read and write."""
    MEMBRANE = 2
    """Row 2 w: low 16 bits of the potentials of word w after the last step, row 2 w + 1: high 4 bits, sign-extended.
    Read only."""
    HISTORY = 3
    """Row w: of the neurons of word w, in the low byte the spike history (bit t = spike in step t of the last run), in
    the high byte the presynaptic trace before that run. Read only."""
    INPUT_HISTORY = 4
    """Row r: the same of inputs r x lanes and following; GRADED: value in the place of the history. Read only."""


@dataclass(frozen=True)
class Identity:
    """What a device says of itself; unsigned, packed in this order."""

    magic: int
    version: int
    lanes: int
    classes: int
    steps: int
    inputs: int
    words: int
    rows: int
    weight_bits: int
    max_payload: int
    credits: int
    clock_khz: int
    """Clock of the engine; 0 where cycles are counted but take no fixed time (simulated gateware), MODELLED where a
    model of the core answers, whose cycle counters hold the cost model's cycles."""

    STRUCT = struct.Struct("<IHHHHHHIHHHI")

    @classmethod
    def of(cls, limits: Limits, clock_khz: int = 0) -> "Identity":
        """Identity of a device with ``limits``."""
        return cls(
            magic=MAGIC,
            version=VERSION,
            lanes=limits.lanes,
            classes=limits.classes,
            steps=limits.steps,
            inputs=limits.inputs,
            words=limits.words,
            rows=limits.rows,
            weight_bits=limits.weight_bits,
            max_payload=MAX_PAYLOAD,
            credits=CREDITS,
            clock_khz=clock_khz,
        )

    @property
    def modelled(self) -> bool:
        """Whether cycles are the cost model's, and not counted by an engine."""
        return self.clock_khz == MODELLED

    @property
    def clock_mhz(self) -> float | None:
        """Clock of the engine in MHz; None where it has none."""
        return None if self.modelled or not self.clock_khz else self.clock_khz / 1000

    @property
    def limits(self) -> Limits:
        """Limits of the device."""
        return Limits(self.lanes, self.rows, self.inputs, self.words, self.classes, self.steps, self.weight_bits)

    def pack(self) -> bytes:
        """Bytes as sent."""
        return self.STRUCT.pack(*astuple(self))

    @classmethod
    def unpack(cls, data: bytes) -> "Identity":
        """Identity of bytes as received; struct.error where the size is wrong."""
        return cls(*cls.STRUCT.unpack(data))


@dataclass(frozen=True)
class Frame:
    """One frame without escapes and crc."""

    seq: int
    code: int
    data: bytes = b""

    def encode(self) -> bytes:
        """Bytes on the wire, END to END."""
        body = HEADER.pack(len(self.data), self.seq, self.code) + self.data
        body += CRC.pack(zlib.crc32(body))
        body = body.replace(bytes([ESC]), bytes([ESC, ESC_ESC])).replace(bytes([END]), bytes([ESC, ESC_END]))
        return bytes([END]) + body + bytes([END])

    @classmethod
    def decode(cls, body: bytes) -> "Frame | None":
        """Frame of the unescaped bytes between two ENDs; None where it is malformed (size or crc)."""
        if len(body) < OVERHEAD:
            return None
        size, seq, code = HEADER.unpack_from(body)
        if len(body) != size + OVERHEAD or CRC.unpack(body[-CRC.size :])[0] != zlib.crc32(body[: -CRC.size]):
            return None
        return cls(seq, code, body[HEADER.size : -CRC.size])


class Unescape:
    """Split a byte stream into unescaped frame bodies; keeps what is incomplete for the next call.

    Parameters
    ----------
    max_body : int or None
        Bytes above which a body is given up; it then comes out as None, like one with a bad escape.
    """

    def __init__(self, max_body: int | None = None) -> None:
        self._max_body = max_body
        # Two bytes on the wire make at least one of the body: what is longer is given up, whatever follows.
        self._max_rest = None if max_body is None else 2 * max_body + 1
        self._rest = b""

    def feed(self, data: bytes) -> list[bytes | None]:
        """Bodies that end in ``data``, None for a spoilt one; empty ones are dropped."""
        *whole, rest = (self._rest + data).split(bytes([END]))
        self._rest = rest[: self._max_rest]
        return [self._unescape(escaped) for escaped in whole if escaped]

    def _unescape(self, escaped: bytes) -> bytes | None:
        first, *others = escaped.split(bytes([ESC]))
        parts = [first]
        for part in others:
            if part[:1] not in _ESCAPED:
                return None
            parts += (_ESCAPED[part[:1]], part[1:])
        body = b"".join(parts)
        return None if self._max_body is not None and len(body) > self._max_body else body
