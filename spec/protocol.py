"""Link protocol: sessions, the order of frames, flow control, and what a device reports of itself.

Session
    After a reset there is no session: the device answers everything but SYNC with a NAK of reason NO_SESSION, and
    expects seq 0. SYNC is taken with any seq. With a nonce that differs from the session's it starts a session:
    the device waits until the engine is idle, discards unfinished input (events received without RUN), forgets stored
    replies and expects seq + 1. With the session's own nonce it changes nothing. It is answered with an Identity either
    way. A SYNC of the wrong size is answered BAD_LENGTH and changes nothing.

Order
    The device executes the frame whose seq is the expected one, then expects seq + 1. Every executed frame gets exactly
    one reply with its seq. A frame that cannot be taken is answered with a NAK, whose payload has the reason and the
    expected seq, and whose own seq is the expected one: the host sends again from there (go back N).

Repetition
    The host may send each of the last 4 frames again, where it or its reply was lost. A frame is a repetition where its
    seq is one of the 4 before the expected one and its code is that of the frame that was executed:

    - RUN and RUN_STORED: the stored reply is sent again if it is ready. While the samples are queued or in the engine
      nothing is sent; the reply follows by itself.
    - EVENTS, WRITE_STORE, and every frame that was answered with an error: the stored status is sent again.
    - All others, if seq is the one before the expected one: executed again, which changes nothing. The payload may be
      another one: on a noisy line the host repeats READ_MEMORY and WRITE_MEMORY with fewer rows. With an older seq
      nothing is sent.

    Any other frame is answered with a NAK of reason ORDER. SYNC is never a repetition.

Flow control
    A device has Identity.credits input buffers. The host keeps at most that many RUN and RUN_STORED frames
    unanswered, so that input travels while a run is in the engine. Every command but EVENTS, RUN and RUN_STORED
    waits until the engine is idle, and the host sends it only when none of these is unanswered. So a sample that
    was sent before a WRITE_REGISTERS or WRITE_MEMORY never sees it. The host keeps at most 4 frames unanswered, so
    that each can be sent again. The device does not execute a frame before the RUN that is 4 frames older has been
    answered.

Runs
    A run is what the engine does at once: a frame sample, or a chunk of up to Identity.steps time steps of an event
    sample. EVENTS appends to its input, RUN appends to it and runs it. In a chunk every time step must be ended, and
    the chunk has at most as many events as the device has room for: the power of two at or above Identity.inputs, at
    least 2. Samples with more events travel in shorter chunks. Membrane potentials, presynaptic traces, and readouts
    and losses summed for the decision are carried from chunk to chunk until a RUN has the flag FRESH. A frame always
    has it, and so has the first run after register HIDDEN_LAYERS was written.

Inference only
    A device whose Identity.learning is 0 was built with a trained network, which is there after a reset: its registers
    and weights can be read, not written. Of the memories it has WEIGHTS and MEMBRANE. WRITE_MEMORY is answered
    BAD_ADDRESS, and a RUN with TRAIN is answered NO_LEARNING. WRITE_REGISTERS is answered OK and changes no register,
    but HIDDEN_LAYERS still makes the next run a fresh one, and CLEAR_COUNTERS clears the counters.
"""

import struct
from dataclasses import astuple, dataclass

from opzo.spec.commands import Field, Payload
from opzo.spec.frames import MAX_PAYLOAD
from opzo.spec.limits import Limits

VERSION = 5
"""Version of protocol and register map; host and device must agree."""
MAGIC = 0x4F5A504F
"""'OPZO' read as a little-endian word."""
REPLAY = 4
"""Frames that may be unanswered, and whose replies the device keeps."""
CREDITS = 2
"""Input buffers of the device."""
BITS_A_BYTE = 10
"""Bits of a byte on a UART: start, eight bits, stop."""
MODELLED = 0xFFFFFFFF
"""Clock in an Identity of a device that has no engine."""

IDENTITY = Payload(
    (
        Field("magic", "u32", "0x4F5A504F"),
        Field("version", "u16", "of protocol and register map"),
        Field("lanes", "u16", "lanes; a row has one entry for each"),
        Field("classes", "u16", "most classes"),
        Field("steps", "u16", "most time steps of a run"),
        Field("inputs", "u16", "most inputs"),
        Field("words", "u16", "words (of as many neurons as lanes) of all hidden layers"),
        Field("rows", "u32", "rows of the weight memory"),
        Field("weight_bits", "u16", "bits of a weight in memory, 16 or 12"),
        Field("layers", "u16", "most hidden layers"),
        Field("gradients", "u32", "row-words of the gradient accumulators; 0: a device without convolution"),
        Field("blocks", "u16", "words of the feedback blocks of all hidden layers; 0 without convolution"),
        Field("block", "u16", "largest height and width of a feedback block; 1 without convolution"),
        Field("first_words", "u16", "words of the first hidden layer; 0: as many as `words`"),
        Field("places", "u16", "positions of all hidden layers, or cells where a pool follows; 0: as many as `words`"),
        Field("store", "u32", "bytes of the sample store; 0: a device without one"),
        Field("learning", "u16", "1: the device can learn; 0: it only infers, with the network that it was built for"),
        Field("max_payload", "u16", "longest payload towards the device"),
        Field("credits", "u16", "RUN and RUN_STORED frames that may be unanswered"),
        Field(
            "clock_khz",
            "u32",
            "clock of the engine; 0: cycles are counted but take no fixed time (simulated gateware); 0xFFFFFFFF: a "
            "model of the core answers, and cycle counters hold the cycles of the cost model",
        ),
    )
)
"""What a device reports of itself: the reply to SYNC."""


@dataclass(frozen=True)
class Identity:
    """What a device reports of itself; `IDENTITY` has the meaning of the fields, which are the same."""

    magic: int
    version: int
    lanes: int
    classes: int
    steps: int
    inputs: int
    words: int
    rows: int
    weight_bits: int
    layers: int
    gradients: int
    blocks: int
    block: int
    first_words: int
    places: int
    store: int
    learning: int
    max_payload: int
    credits: int
    clock_khz: int

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
            layers=limits.layers,
            gradients=limits.gradients,
            blocks=limits.blocks,
            block=limits.block,
            first_words=limits.first_words,
            places=limits.places,
            store=limits.store,
            learning=int(limits.learning),
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
        return Limits(
            self.lanes,
            self.rows,
            self.inputs,
            self.words,
            self.classes,
            self.steps,
            self.weight_bits,
            self.layers,
            gradients=self.gradients,
            blocks=self.blocks,
            block=self.block,
            first_words=self.first_words,
            places=self.places,
            store=self.store,
            learning=self.learning > 0,
        )

    def pack(self) -> bytes:
        """Bytes as sent."""
        return IDENTITY.pack(*astuple(self))

    @classmethod
    def unpack(cls, data: bytes) -> "Identity":
        """Identity of bytes as received; struct.error where the size is wrong."""
        if len(data) != IDENTITY.size:
            raise struct.error(f"an Identity has {IDENTITY.size} bytes, not {len(data)}")
        return cls(*IDENTITY.unpack(data))
