"""Link protocol: frames over a byte stream, commands, and who may repeat what.

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
"""

import struct
from dataclasses import astuple, dataclass

from opzo.spec.frames import MAX_PAYLOAD
from opzo.spec.network import Limits

VERSION = 3
"""Protocol and register map version; host and device must agree."""
MAGIC = 0x4F5A504F
"""'OPZO' read as a little-endian word."""

REPLAY = 4
"""Number of last frames whose replies the device keeps."""
CREDITS = 2
"""Sample buffers of the device."""
BITS_A_BYTE = 10
"""Of a byte on a UART: start, eight bits, stop."""
MODELLED = 0xFFFFFFFF
"""Clock in an Identity of a device that has no engine."""


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
