"""Streams of bytes: queues, words and SLIP lose, invent, change and reorder nothing."""

from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
from amaranth import Cat, Module, Mux, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.fifo import SyncFIFO, SyncFIFOBuffered
from amaranth.lib.wiring import In, Out, connect, flipped
from proof import Proof, mutant
from streams import Watch, assume_held, claim_held, moved

from opzo.hw.lib import slip
from opzo.hw.lib.slip import ENCODED, SlipDecoder
from opzo.hw.lib.words import BytesToWords, WordsToBytes
from opzo.spec.frames import END, ESC, ESC_END, ESC_ESC

pytestmark = pytest.mark.formal


class Queue(wiring.Component):
    """A queue of Amaranth's library with the streams that the gateware connects."""

    def __init__(self, queue: Any) -> None:
        self.queue = queue
        super().__init__({"i": In(stream.Signature(queue.width)), "o": Out(stream.Signature(queue.width))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.queue = self.queue
        connect(m, flipped(self.i), self.queue.w_stream)
        connect(m, self.queue.r_stream, flipped(self.o))
        return m


def queue(unit: Queue) -> Proof:
    proof = Proof(unit)
    depth, buffered = unit.queue.depth, isinstance(unit.queue, SyncFIFOBuffered)
    watch = Watch(proof, unit.i, unit.o, depth)
    watch.goes_on(proof, unit.o, 2 if buffered else 0)
    proof.lemma("level", watch.count == unit.queue.level)
    if depth > 1:
        rows = depth - buffered
        level = proof.inside["queue.inner_level" if buffered else "queue.level"]
        produce, consume = (proof.inside[f"queue.{name}"] for name in ("produce", "consume"))
        proof.lemma("rows", (produce < rows) & (consume < rows) & (level <= rows))
        proof.lemma("distance", (consume + level == produce) | (consume + level == produce + rows))
        # Where the watched item is, unless it is in the register behind the memory.
        place = consume + watch.ahead - (unit.o.valid if buffered else 0)
        row = Signal(range(rows))
        proof.m.d.comb += row.eq(Mux(place >= rows, place - rows, place))
        stored = watch.watching & ((watch.ahead != 0) | ~unit.o.valid | (not buffered))
        proof.lemma("stored", ~stored | (proof.memory("queue.storage", row) == watch.item))
    return proof


@pytest.mark.parametrize(
    "unit",
    [SyncFIFOBuffered(width=2, depth=1), SyncFIFOBuffered(width=2, depth=4), SyncFIFO(width=2, depth=3)],
    ids=["one", "buffered", "plain"],
)
def test_queues_keep_items_in_order(unit: Any) -> None:
    """Unbounded, by induction over 3 cycles; in small, as the logic is the same for every width and depth above 1."""
    proof = queue(Queue(unit))
    proof.induction(3)
    proof.reached(unit.depth + 6)


def words_from_bytes(unit: BytesToWords) -> Proof:
    proof = Proof(unit)
    size = unit.bytes
    taken, bytes_ = Signal(range(size + 1)), Signal(8 * size)
    with proof.m.If(moved(unit.i)):
        proof.m.d.sync += [taken.eq(taken + 1), bytes_.eq(Cat(bytes_[8:], unit.i.p))]
    with proof.m.If(moved(unit.o)):
        proof.m.d.sync += taken.eq(0)
    claim_held(proof, "o", unit.o)
    proof.claim("whole", unit.o.valid == (taken == size))
    proof.claim("goes_on", unit.i.ready | unit.o.valid)
    proof.claim("word", ~unit.o.valid | (unit.o.p == bytes_))
    missing = proof.inside["missing"]
    for count in range(size + 1):
        ones = (1 << size - 1 - count) - 1 if count < size else (1 << size - 1) - 1
        proof.lemma(f"missing_{count}", (taken != count) | (missing == ones))
    part = unit.o.p ^ bytes_
    proof.lemma("part", part == 0)
    proof.cover("word", moved(unit.o) & (unit.o.p == 0x0201))
    return proof


def test_bytes_become_words() -> None:
    """Unbounded, by induction over 2 cycles, for words of 3 bytes."""
    proof = words_from_bytes(BytesToWords(3))
    proof.induction(2)
    proof.reached(5)


def bytes_from_words(unit: WordsToBytes, size: int) -> Proof:
    proof = Proof(unit)
    assume_held(proof, "i", unit.i)
    proof.assume("last", unit.i.p.last < size)
    left, rest = Signal(range(size + 1)), Signal(8 * size)
    with proof.m.If(moved(unit.i)):
        proof.m.d.sync += [left.eq(unit.i.p.last + 1), rest.eq(unit.i.p.word)]
    with proof.m.Elif(moved(unit.o)):
        proof.m.d.sync += [left.eq(left - 1), rest.eq(rest >> 8)]
    claim_held(proof, "o", unit.o)
    proof.claim("as_many", unit.o.valid == (left != 0))
    proof.claim("goes_on", unit.o.valid | unit.i.ready)
    proof.claim("byte", ~unit.o.valid | (unit.o.p == rest[:8]))
    held = proof.inside["held"]
    proof.lemma("rest", (left == 0) | (Value.cast(held) == Cat(rest, (left - 1)[: len(unit.i.p.last)])))
    proof.cover("third", moved(unit.o) & (left == 1) & proof.before(left == 2))
    return proof


def test_words_become_bytes() -> None:
    """Unbounded, by induction over 2 cycles, for words of 3 bytes of which 1, 2 or 3 are sent."""
    proof = bytes_from_words(WordsToBytes(3), 3)
    proof.induction(2)
    proof.reached(6)


def slip_decoder(unit: SlipDecoder) -> Proof:
    """A model of the byte layer, from its description in ``opzo.spec.frames``, gives the item of each byte taken."""
    proof = Proof(unit)
    taken, byte = moved(unit.i), unit.i.p
    bytes_since, after_esc, corrupt = Signal(), Signal(), Signal()
    due, data, end, bad = Signal(), Signal(8), Signal(), Signal()
    with proof.m.If(moved(unit.o)):
        proof.m.d.sync += due.eq(0)
    with proof.m.If(taken):
        proof.m.d.sync += [due.eq(1), data.eq(byte), end.eq(0), after_esc.eq(0), bytes_since.eq(1)]
        with proof.m.If(byte == END):
            # An empty frame is dropped. ESC before END is an invalid escape.
            proof.m.d.sync += [due.eq(bytes_since), end.eq(1), bad.eq(corrupt | after_esc)]
            proof.m.d.sync += [bytes_since.eq(0), corrupt.eq(0)]
        with proof.m.Elif(after_esc):
            with proof.m.Switch(byte):
                with proof.m.Case(ESC_END):
                    proof.m.d.sync += data.eq(END)
                with proof.m.Case(ESC_ESC):
                    proof.m.d.sync += data.eq(ESC)
                with proof.m.Default():
                    proof.m.d.sync += [corrupt.eq(1), due.eq(0)]
        with proof.m.Elif(byte == ESC):
            proof.m.d.sync += [after_esc.eq(1), due.eq(0)]
    claim_held(proof, "o", unit.o)
    proof.claim("no_more_no_less", unit.o.valid == due)
    proof.claim("end", ~due | (unit.o.p.end == end))
    proof.claim("byte", ~due | end | (unit.o.p.data == data))
    proof.claim("corrupt", ~due | ~end | (unit.o.p.corrupt == bad))
    proof.claim("goes_on", unit.i.ready | unit.o.valid)
    inside = proof.inside
    state = (inside["escaped"] == after_esc) & (inside["corrupt"] == corrupt) & (inside["open_"] == bytes_since)
    proof.lemma("state", state)
    proof.cover("corrupt_frame", moved(unit.o) & end & bad)
    proof.cover("escaped_end", moved(unit.o) & ~end & (data == END))
    return proof


def test_slip_decoder_undoes_escapes() -> None:
    """Unbounded, by induction over 2 cycles, for every stream of bytes."""
    proof = slip_decoder(SlipDecoder())
    proof.induction(2)
    proof.reached(7)


class Through(wiring.Component):
    """Encoder, then decoder."""

    i: In(stream.Signature(ENCODED))
    o: Out(stream.Signature(ENCODED))

    def __init__(self, units: ModuleType = slip) -> None:
        self._units = units
        super().__init__()

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.encoder = encoder = self._units.SlipEncoder()
        m.submodules.decoder = decoder = SlipDecoder()
        connect(m, flipped(self.i), encoder.i)
        connect(m, encoder.o, decoder.i)
        m.d.comb += [
            self.o.valid.eq(decoder.o.valid),
            decoder.o.ready.eq(self.o.ready),
            self.o.p.data.eq(decoder.o.p.data & ~decoder.o.p.end.replicate(8)),
            self.o.p.end.eq(decoder.o.p.end),
        ]
        return m


def slip_encoder(unit: Through) -> Proof:
    proof = Proof(unit)
    proof.assume("end_has_no_data", ~unit.i.p.end | (unit.i.p.data == 0))
    # An empty frame is not sent, but dropped by the decoder.
    open_ = Signal()
    with proof.m.If(moved(unit.i)):
        proof.m.d.sync += open_.eq(~unit.i.p.end)
    proof.assume("not_empty", ~(unit.i.valid & unit.i.p.end) | open_)
    watch = Watch(proof, unit.i, unit.o, 1)
    inside = proof.inside
    proof.claim("never_corrupt", ~unit.o.valid | ~unit.o.p.end | ~inside["decoder.o__payload"][9])
    proof.lemma("in_register", watch.count == unit.o.valid)
    proof.lemma("escaped", inside["encoder.escaped"] == inside["decoder.escaped"])
    proof.lemma("not_corrupt", ~inside["decoder.corrupt"])
    proof.lemma("begun", (inside["encoder.begun"] | ~open_) & (~inside["encoder.escaped"] | inside["encoder.begun"]))
    proof.lemma("open", inside["decoder.open_"] == (open_ | inside["encoder.escaped"]))
    special = (unit.i.p.data == END) | (unit.i.p.data == ESC)
    proof.lemma("halfway", ~inside["encoder.escaped"] | (unit.i.valid & ~unit.i.p.end & special))
    waits = Signal(2)
    stuck = unit.i.valid & unit.o.ready & ~unit.i.ready
    proof.m.d.sync += waits.eq(Mux(stuck, waits + 1, 0))
    # Two cycles at most: END before the first byte, ESC before a byte that is escaped.
    proof.claim("goes_on", waits <= inside["encoder.begun"] + inside["encoder.escaped"])
    return proof


def test_slip_decoder_gives_what_the_encoder_got() -> None:
    """Unbounded, by induction over 2 cycles: in their order the items come out of the decoder, and none is corrupt."""
    proof = slip_encoder(Through())
    proof.induction(2)
    proof.reached(8)


MODELS: dict[str, tuple[Callable[[ModuleType], Proof], int]] = {
    "words_from_bytes": (lambda unit: words_from_bytes(unit.BytesToWords(3)), 6),
    "bytes_from_words": (lambda unit: bytes_from_words(unit.WordsToBytes(3), 3), 6),
    "slip_decoder": (lambda unit: slip_decoder(unit.SlipDecoder()), 6),
    "slip_encoder": (lambda unit: slip_encoder(Through(unit)), 8),
}


@pytest.mark.parametrize(
    ("module", "model", "old", "new", "claim"),
    [
        ("words", "words_from_bytes", "Cat(self.o.p[8:], self.i.p)", "Cat(self.i.p, self.o.p[:-8])", "word"),
        ("words", "words_from_bytes", "missing.any(), missing >> 1", "missing.all(), missing >> 1", "whole"),
        ("words", "bytes_from_words", "held.last != 0", "held.last > 1", "as_many"),
        ("slip", "slip_decoder", "escaped.eq(is_esc)", "escaped.eq(is_esc | escaped)", "byte"),
        ("slip", "slip_decoder", "self.i.ready.eq(self.o.ready | ~self.o.valid)", "self.i.ready.eq(1)", "byte"),
        ("slip", "slip_encoder", "Mux(self.i.p.data == END, ESC_END, ESC_ESC)", "ESC_END", "watched_in_its_place"),
    ],
)
def test_a_wrong_unit_is_found(module: str, model: str, old: str, new: str, claim: str) -> None:
    make, cycles = MODELS[model]
    make(mutant(f"opzo.hw.lib.{module}", old, new)).refute(claim, cycles)


def test_a_queue_that_takes_one_item_too_many_is_found() -> None:
    class Overfull(SyncFIFO):
        def elaborate(self, platform: object) -> Module:
            m = super().elaborate(platform)
            m.d.comb += self.w_rdy.eq(1)
            return m

    queue(Queue(Overfull(width=2, depth=3))).refute("watched_in_its_place", 7)
