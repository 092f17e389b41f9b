"""Frames: only whole ones with the right check sum are good, and payload passes through unchanged."""

from collections.abc import Callable
from types import ModuleType

import pytest
from amaranth import Cat, Mux, Signal, Value
from proof import Proof, mutant
from streams import assume_held, claim_held, moved

from opzo.hw.link.frame import FrameReceiver, FrameSender, ReplyArbiter
from opzo.spec.frames import CRC, HEADER, MAX_PAYLOAD, OVERHEAD

pytestmark = pytest.mark.formal

COUNTED = MAX_PAYLOAD + OVERHEAD + 1
"""Bytes up to which a frame is counted: one more than any good one has."""


class Body:
    """Model of the frame that is being received: its length and header."""

    def __init__(self, proof: Proof, byte: Value, data: Value, restart: Value) -> None:
        m = proof.m
        self.size, self.header = Signal(range(COUNTED + 1), name="size"), Signal(32, name="header")
        with m.If(byte):
            m.d.sync += self.size.eq(Mux(self.size == COUNTED, COUNTED, self.size + 1))
            with m.If(self.size < HEADER.size):
                m.d.sync += self.header.eq(Cat(self.header[8:], data))
        with m.If(restart):
            m.d.sync += self.size.eq(0)
        length = self.header[:16]
        self.is_whole = (self.size >= OVERHEAD) & (self.size == length + OVERHEAD) & (length <= MAX_PAYLOAD)


def receiver(unit: FrameReceiver) -> Proof:
    proof = Proof(unit, arrays=True)
    assume_held(proof, "i", unit.i)
    inside, m = proof.inside, proof.m
    byte, data = moved(unit.i) & ~unit.i.p.end, unit.i.p.data
    body = Body(proof, byte, data, moved(unit.frame))
    corrupt = Signal()
    with m.If(moved(unit.i)):
        m.d.sync += corrupt.eq(unit.i.p.end & unit.i.p.corrupt)
    # A byte of the payload, which the solver chooses, and the number of those that were read.
    chosen, value, read = proof.constant(range(MAX_PAYLOAD), "chosen"), Signal(8), Signal(range(COUNTED))
    with m.If(byte & (body.size == chosen + HEADER.size)):
        m.d.sync += value.eq(data)
    with m.If(moved(unit.payload)):
        m.d.sync += read.eq(read + 1)
    with m.If(moved(unit.frame)):
        m.d.sync += read.eq(0)
    claim_held(proof, "frame", unit.frame)
    offered, good, size = unit.frame.valid, unit.frame.p.good, body.header[:16]
    claim_held(proof, "payload", unit.payload, moved(unit.frame))
    # The check sum is that of Amaranth's library: it gets all bytes of the frame, and says whether they match.
    matches = inside["crc.match_detected"]
    summed = (inside["valid"] == byte) & (~byte | (inside["data"] == data)) & (inside["start"] == moved(unit.frame))
    proof.claim("summed", summed)
    proof.claim("good", ~offered | (good == (body.is_whole & ~corrupt & matches)))
    proof.claim("length", ~offered | ~good | (body.size == size + OVERHEAD))
    header = Cat(unit.frame.p.size, unit.frame.p.seq, unit.frame.p.code)
    proof.claim("header", ~offered | ~good | (header == Cat(size[: len(unit.frame.p.size)], body.header[16:])))
    proof.claim("payload_of_good", ~unit.payload.valid | (offered & good & (read < size)))
    proof.claim("payload", ~unit.payload.valid | (read != chosen) | (unit.payload.p == value))
    idle = Signal(2)
    m.d.sync += idle.eq(Mux(offered & good & (read < size) & ~unit.payload.valid & ~moved(unit.frame), idle + 1, 0))
    proof.claim("goes_on", (idle < 3) & (unit.i.ready | offered | proof.before(unit.i.ready)))

    begun = proof.before(offered & good & ~unit.frame.ready)
    index, fetched, fetched_byte = inside["index"], inside["fetched"], proof.read_data("memory")
    proof.lemma("size", body.size <= COUNTED)
    proof.lemma("states", inside["fsm_state"] < 3)
    proof.lemma("receives", unit.i.ready | (body.size == proof.before(body.size)))
    proof.lemma("corrupt", ~proof.state("fsm_state", "CHECK") | (inside["corrupt"] == corrupt))
    proof.lemma("stored_header", inside["header"] == body.header)
    for count in range(HEADER.size):
        proof.lemma(f"missing_{count}", (body.size != count) | (inside["missing"] == (16 >> count) - 1))
    after_header = Mux(body.size < HEADER.size, 0, body.size - HEADER.size)
    proof.lemma("missing", (body.size < HEADER.size) | (inside["missing"] == 0))
    proof.lemma("stored", (body.size == COUNTED) | (inside["stored"] == after_header))
    proof.lemma("stored_more", (body.size != COUNTED) | (inside["stored"] >= after_header))
    proof.lemma("memory", (body.size <= chosen + HEADER.size) | (proof.memory("memory", chosen) == value))
    proof.lemma("not_begun", begun | ((index == 0) & ~fetched & ~unit.payload.valid & (read == 0)))
    upcoming = read + unit.payload.valid
    proof.lemma("index", ~begun | (index == Mux(upcoming < size, upcoming + 1, size)))
    proof.lemma("fetched", ~begun | (fetched == (upcoming < size)))
    proof.lemma("fetched_byte", ~begun | (upcoming != chosen) | (chosen >= size) | (fetched_byte == value))
    proof.lemma("read", read <= size)
    proof.lemma("waits", idle <= begun + unit.payload.valid)
    proof.cover("payload", moved(unit.payload) & (chosen == 0) & (value == 0x5A))
    proof.cover("bad", offered & ~good & (body.size == OVERHEAD) & (size == 0))
    return proof


def test_only_whole_frames_with_the_right_check_sum_are_good() -> None:
    """Unbounded, by induction over 2 cycles, for all bytes, marks of corrupt frames and stalls.

    The check sum is that of Amaranth's library, not proved here: the proof is that it gets all bytes from the first to
    the last and that its verdict counts. The payload of a good frame is read once and in order:
    a byte of any number is the byte received under that number.
    """
    proof = receiver(FrameReceiver())
    proof.induction(2)
    proof.reached(18)


def sender(unit: FrameSender) -> Proof:
    proof = Proof(unit)
    inside, m = proof.inside, proof.m
    header, payload = unit.reply.header, unit.reply.payload
    assume_held(proof, "header", header)
    assume_held(proof, "payload", payload, moved(header))
    # Items of this frame that went into the output register.
    count = Signal(18)
    emits, size = inside["emit"], header.p.size
    of_header, of_payload = count < HEADER.size, (count >= HEADER.size) & (count < HEADER.size + size)
    place = count - HEADER.size - size
    of_crc, is_end = ~of_header & ~of_payload & (place < CRC.size), ~of_header & (place == CRC.size)
    with m.If(emits):
        m.d.sync += count.eq(Mux(is_end, 0, count + 1))
    byte, crc = Signal(8), inside["crc.crc"]
    m.d.comb += byte.eq(Mux(of_header, Value.cast(header.p).word_select(count[:2], 8), Mux(of_payload, payload.p, 0)))
    with m.If(of_crc):
        m.d.comb += byte.eq(crc.word_select(place[:2], 8))
    expected, ends = Signal(8), Signal()
    with m.If(emits):
        m.d.sync += [expected.eq(byte), ends.eq(is_end)]
    claim_held(proof, "o", unit.o)
    proof.claim("item", ~unit.o.valid | ((unit.o.p.end == ends) & (ends | (unit.o.p.data == expected))))
    proof.claim("each_once", ~emits | ~unit.o.valid)
    proof.claim("whole_header", ~emits | (header.valid & (header.ready == is_end)))
    proof.claim("header_with_end", ~header.ready | (emits & is_end))
    proof.claim("payload_once", moved(payload) == (emits & of_payload))
    # The check sum begins anew, gets header and payload once, and is complete before it is sent.
    is_summed = proof.before(emits & (of_header | of_payload))
    proof.claim("summed", (inside["valid"] == is_summed) & (~is_summed | (inside["data"] == expected)))
    proof.claim("complete", ~(emits & of_crc) | ~inside["valid"])
    clean = Signal(init=1)
    with m.If(inside["valid"]):
        m.d.sync += clean.eq(0)
    with m.If(inside["start"]):
        m.d.sync += clean.eq(1)
    proof.claim("new_sum", ~emits | (count != 0) | clean)
    proof.claim("one_sum", ~inside["start"] | is_end)
    stuck = Signal(2)
    m.d.sync += stuck.eq(Mux(header.valid & ~unit.o.valid & ~emits & (payload.valid | ~of_payload), stuck + 1, 0))
    proof.claim("goes_on", stuck < 2)

    state = {name: proof.state("fsm_state", name) for name in ("HEADER", "PAYLOAD", "CRC", "END")}
    in_payload = (count >= HEADER.size) & (count <= HEADER.size + size)
    proof.lemma("header_state", ~state["HEADER"] | (count == inside["count"]))
    proof.lemma("payload_state", ~state["PAYLOAD"] | (in_payload & (inside["remaining"] == size + HEADER.size - count)))
    proof.lemma("empty", ~state["PAYLOAD"] | (inside["empty"] == (inside["remaining"] == 0)))
    proof.lemma("no_count", ~(state["PAYLOAD"] | state["END"]) | (inside["count"] == 0))
    proof.lemma("crc_state", ~state["CRC"] | (place == inside["count"]))
    proof.lemma("end_state", ~state["END"] | is_end)
    proof.lemma("begun", (count == 0) | header.valid)
    proof.lemma("stuck", (stuck == 0) | state["CRC"])
    proof.lemma("clean", ~state["HEADER"] | (count != 0) | (clean & ~inside["valid"]))
    proof.lemma("no_end", (count == 0) | ~unit.o.p.end)
    proof.lemma("ends", ~inside["valid"] | unit.o.valid)
    proof.cover("end", moved(unit.o) & unit.o.p.end & proof.before(size == 2))
    return proof


def test_frames_are_sent_whole() -> None:
    """Unbounded, by induction over 2 cycles, for all headers and sizes.

    Header, as many bytes of payload as it says, check sum and end are sent, each once and in order. The check sum is
    that of Amaranth's library, which gets just header and payload before it is sent.
    """
    proof = sender(FrameSender())
    proof.induction(2)
    proof.reached(26)


def arbiter(unit: ReplyArbiter) -> Proof:
    proof = Proof(unit)
    sources, o = (unit.first, unit.second), unit.o
    for name, source in zip(("first", "second"), sources, strict=True):
        assume_held(proof, f"{name}_header", source.header)
        # What is left of a payload is dropped with the header.
        assume_held(proof, f"{name}_payload", source.payload, moved(source.header))
    claim_held(proof, "header", o.header)
    claim_held(proof, "payload", o.payload, moved(o.header))
    chosen, goes_on = proof.inside["chosen"], proof.before(o.header.valid & ~o.header.ready)
    proof.claim("one_frame_at_a_time", ~goes_on | (chosen == proof.before(chosen)))
    for number, source in enumerate(sources):
        ours = o.header.valid & (chosen == number)
        proof.claim(f"header_{number}", moved(source.header) == (ours & moved(o.header)))
        proof.claim(f"payload_{number}", moved(source.payload) == (ours & moved(o.payload)))
        is_same = (Value.cast(o.header.p) == Value.cast(source.header.p)) & (
            ~o.payload.valid | (o.payload.p == source.payload.p)
        )
        proof.claim(f"same_{number}", ~ours | (source.header.valid & is_same))
    waiting = proof.before(unit.first.header.valid & ~o.header.valid)
    proof.claim("first_goes_first", ~waiting | (o.header.valid & ~chosen))
    proof.claim("goes_on", o.header.valid | ~proof.before(unit.second.header.valid & ~o.header.valid))
    proof.cover("second", moved(o.payload) & chosen)
    return proof


def test_frames_of_two_sources_are_kept_apart() -> None:
    """Unbounded, by induction over 2 cycles: header and payload come from one source until the header is taken."""
    proof = arbiter(ReplyArbiter())
    proof.induction(2)
    proof.reached(4)


MODELS: dict[str, tuple[Callable[[ModuleType], Proof], int]] = {
    "receiver": (lambda unit: receiver(unit.FrameReceiver()), 16),
    "arbiter": (lambda unit: arbiter(unit.ReplyArbiter()), 6),
    "sender": (lambda unit: sender(unit.FrameSender()), 20),
}


@pytest.mark.parametrize(
    ("model", "old", "new", "claim"),
    [
        ("receiver", " & crc.match_detected", "", "good"),
        ("receiver", "stored == size + CRC.size) & crc.match_detected", "stored >= size)", "length"),
        ("receiver", "~corrupt & ~missing", "~missing", "good"),
        ("receiver", "index + (index != size)", "index + 1", "payload_of_good"),
        ("sender", "empty.eq(remaining == 1)", "empty.eq(remaining == 0)", "payload_once"),
        ("arbiter", "with m.If(~busy):", "with m.If(~busy | self.first.header.valid):", "one_frame_at_a_time"),
        ("sender", "crc.start.eq(1)", "crc.start.eq(0)", "new_sum"),
    ],
)
def test_a_wrong_unit_is_found(model: str, old: str, new: str, claim: str) -> None:
    make, cycles = MODELS[model]
    make(mutant("opzo.hw.link.frame", old, new)).refute(claim, cycles)
