"""Reply store: each run that was accepted is answered once, each answer asked for again is sent once more."""

import pytest
from amaranth import Array, Cat, Const, Mux, Signal, Value
from proof import Proof, mutant
from streams import assume_held, claim_held, moved

from opzo.hw.link.replies import EXECUTED, TAG_BITS, ReplyStore
from opzo.spec.commands import REPLY, Command, Status
from opzo.spec.limits import Limits
from opzo.spec.protocol import REPLAY

pytestmark = pytest.mark.formal

LIMITS = Limits(lanes=4, rows=64, inputs=2, words=4, classes=1)
WORDS = LIMITS.classes + 2
"""Most words of a result."""


def reply_store(unit: ReplyStore) -> Proof:
    """The command processor keeps to what is proved of it; the core gives a result for each run once."""
    proof = Proof(unit)
    inside, m, control, result = proof.inside, proof.m, unit.control, unit.result
    header, executed = unit.reply.header, control.executed
    assume_held(proof, "result", result)
    proof.assume("seq", ~control.store | (control.seq == executed.seq))
    proof.assume("free", ~(control.store | control.resend) | ~control.unanswered)
    found_run = (control.found.code == Command.RUN) & (control.found.status == Status.OK)
    proof.assume("resend", ~control.resend | (control.known & found_run & ~control.store))
    proof.assume("forget", ~unit.forget | (control.idle & ~control.store & ~control.resend))

    # Where the answer of each place is: in the core, in the queue behind ``ahead`` others, or being sent.
    in_core, in_queue = Signal(REPLAY), Signal(REPLAY)
    ahead = [Signal(range(REPLAY + 1), name=f"ahead_{place}") for place in range(REPLAY)]
    queue = {name: inside[f"results.queue.{name}"] for name in ("level", "consume", "r_data", "w_rdy")}
    waits, tag = proof.state("results.fsm_state", "WAIT"), inside["results.tag"]
    takes, asks = waits & (queue["level"] != 0), inside["results.w_en"]
    ends, place = moved(result) & result.p.last, control.seq[:TAG_BITS]
    accepted = control.store & (executed.code == Command.RUN) & (executed.status == Status.OK)
    sends = Cat(~waits & (tag == n) for n in range(REPLAY))
    for n in range(REPLAY):
        puts = (ends & (result.p.tag == n)) | (control.resend & (place == n))
        with m.If(accepted & (place == n)):
            m.d.sync += in_core[n].eq(1)
        with m.If(ends & (result.p.tag == n)):
            m.d.sync += in_core[n].eq(0)
        with m.If(puts):
            m.d.sync += [in_queue[n].eq(1), ahead[n].eq(queue["level"] - takes)]
        with m.Elif(takes):
            m.d.sync += ahead[n].eq(ahead[n] - 1)
            with m.If(ahead[n] == 0):
                m.d.sync += in_queue[n].eq(0)
    # A result comes from the core in one piece, of two words or more.
    open_, count, last_tag = Signal(), Signal(range(WORDS + 1)), Signal(TAG_BITS)
    with m.If(moved(result)):
        m.d.sync += [open_.eq(~result.p.last), count.eq(count + 1), last_tag.eq(result.p.tag)]
        with m.If(result.p.last):
            m.d.sync += count.eq(0)
    proof.assume("of_a_run", ~result.valid | in_core.bit_select(result.p.tag, 1))
    proof.assume("one_piece", ~result.valid | ((result.p.first == ~open_) & (~open_ | (result.p.tag == last_tag))))
    proof.assume("as_long", ~result.valid | ((count < WORDS) & (~result.p.last | (count != 0))))
    proof.assume("as_short", ~result.valid | (count != WORDS - 1) | result.p.last)

    # What is kept in a place that the solver chooses.
    chosen = proof.constant(TAG_BITS, "chosen")
    kept, frame, words = Signal(), Signal(EXECUTED.size), Signal(range(WORDS + 1), init=1)
    with m.If(control.store & (place == chosen)):
        m.d.sync += [kept.eq(1), frame.eq(Value.cast(executed))]
    with m.If(unit.forget):
        m.d.sync += kept.eq(0)
    with m.If(ends & (result.p.tag == chosen)):
        m.d.sync += words.eq(count + 1)
    # The bytes of the reply in that place: status, prediction, then words.
    data = [Signal(32, name=f"word_{n}") for n in range(WORDS)]
    for n in range(WORDS):
        with m.If(moved(result) & (result.p.tag == chosen) & (count == n)):
            m.d.sync += data[n].eq(result.p.data)
    reply = Signal(8 * (4 * WORDS - 2))
    m.d.comb += reply.eq(Cat(Const(Status.OK, 8), data[0][:8], *data[1:]))
    paid, payload = Signal(range(4 * WORDS), name="paid"), unit.reply.payload
    with m.If(moved(payload)):
        m.d.sync += paid.eq(paid + 1)
    with m.If(header.valid & header.ready):
        m.d.sync += paid.eq(0)
    proof.assume("header_last", ~header.ready | (paid == header.p.size))
    due, is_sent = in_core | in_queue | sends, header.valid & header.ready
    proof.claim("queue_has_room", ~asks | queue["w_rdy"])
    proof.claim("due", control.unanswered == due.bit_select(place, 1))
    proof.claim("idle", control.idle == ~due.any())
    proof.claim("known", (place != chosen) | (control.known == (kept & (frame[:8] == control.seq))))
    proof.claim("found", (place != chosen) | ~kept | (Value.cast(control.found) == frame))
    proof.claim("only_what_is_due", ~is_sent | inside["unanswered"].bit_select(tag, 1))
    named = (header.p.seq == frame[:8]) & (header.p.code == (Command.RUN | REPLY))
    proof.claim("named", ~header.valid | (tag != chosen) | ~kept | named)
    proof.claim("size", ~header.valid | (tag != chosen) | (header.p.size == 4 * (words - 1) + 2))
    proof.claim("no_more", ~payload.valid | (header.valid & (paid < header.p.size)))
    proof.claim("payload", ~payload.valid | (tag != chosen) | (payload.p == reply.word_select(paid, 8)))
    claim_held(proof, "payload", payload)
    proof.claim("goes_on", header.valid | takes | (in_queue == 0))
    proof.claim("header_is_held", ~proof.before(header.valid & ~header.ready) | header.valid)

    proof.lemma("unanswered", inside["unanswered"] == due)
    proof.lemma("states", inside["results.fsm_state"] < 6)
    for n in range(REPLAY):
        row = (queue["consume"] + ahead[n])[:TAG_BITS]
        slot = proof.memory("results.queue.storage", row) == n
        proof.lemma(f"slot_{n}", ~in_queue[n] | ((ahead[n] < queue["level"]) & slot))
        proof.lemma(f"last_{n}", inside["results.last"].word_select(n, 2) < WORDS)
        proof.lemma(f"once_{n}", in_core[n] + in_queue[n] + sends[n] <= 1)
    proof.lemma("level", queue["level"] == sum(in_queue[n] for n in range(REPLAY)))
    end = (queue["consume"] + queue["level"])[:TAG_BITS]
    proof.lemma("end", end == inside["results.queue.produce"])
    index, held = inside["results.index"], inside["results.bytes.held"]
    left = Mux(payload.valid, held[32:] + 1, 0)
    last = inside["results.last"].word_select(tag, len(index))
    finishes = proof.state("results.fsm_state", "FINISH")
    proof.lemma("paid", Mux(waits, (paid == 0) & (left == 0), paid + left == Mux(index == 0, 0, 4 * index - 2)))
    proof.lemma("index", waits | Mux(finishes, index == last + 1, index <= last))
    for n in range(REPLAY):
        frame_of, last_of = inside["frames"].word_select(n, EXECUTED.size), inside["results.last"].word_select(n, 2)
        is_run = frame_of[8:] == Cat(Const(Command.RUN, 8), Const(Status.OK, EXECUTED.size - 16))
        answered = inside["valid"][n] & is_run & ~in_core[n]
        proof.lemma(f"long_{n}", (last_of != 0) | ~(answered | in_queue[n] | sends[n]))
    of_run = frame[8:] == Cat(Const(Command.RUN, 8), Const(Status.OK, EXECUTED.size - 16))
    for n in range(WORDS):
        row = proof.memory("results.memory", Cat(Const(n, 2), chosen))
        written = (kept & of_run & ~in_core.bit_select(chosen, 1) & (n < words)) | (
            open_ & (last_tag == chosen) & (n < count)
        )
        proof.lemma(f"word_{n}", ~written | (row == data[n]))
    word = Signal(32)
    m.d.comb += word.eq(Array(data)[index])
    ours = sends.bit_select(chosen, 1)
    read, loads = (proof.state("results.fsm_state", name) for name in ("READ", "LOAD"))
    proof.lemma("read", ~(ours & read) | (proof.read_data("results.memory") == word))
    proof.lemma("load", ~(ours & loads) | (inside["results.word"] == word))
    rest = (reply >> (paid << 3))[:32]
    for n in range(4):
        proof.lemma(f"byte_{n}", ~ours | (n >= left) | (held.word_select(n, 8) == rest.word_select(n, 8)))
    proof.lemma("open", ~open_ | in_core.bit_select(last_tag, 1))
    proof.lemma("next", ~open_ | (inside["results.next_index"] == count))
    proof.lemma("count", (count < WORDS) & ((count != 0) == open_))
    proof.lemma("words", inside["results.last"].word_select(chosen, 2) == (words - 1)[:2])
    proof.lemma("kept", inside["valid"].bit_select(chosen, 1) == kept)
    proof.lemma("frames", inside["frames"].word_select(chosen, EXECUTED.size) == frame)
    proof.lemma("of_kept", ~due.bit_select(chosen, 1) | (kept & of_run))
    proof.cover("sent", is_sent)
    return proof


def test_each_run_is_answered_once() -> None:
    """Unbounded, by induction over 2 cycles, for all orders in which runs, results and repetitions come.

    The queue of answers has room for all of them. A reply is sent only for a place that waits for one, with the number
    of its frame, and its payload is its result.
    """
    proof = reply_store(ReplyStore(LIMITS))
    proof.induction(2)
    proof.reached(16)


@pytest.mark.parametrize(
    ("old", "new", "claim"),
    [
        ("unanswered.bit_select(results.tag, 1)", "unanswered.bit_select(place, 1)", "due"),
        ("to_bytes.i.p.last.eq(Mux(index == 0, 1, 3))", "to_bytes.i.p.last.eq(3)", "no_more"),
        ("frames[results.tag].seq", "frames[place].seq", "named"),
        ("last[self.tag] << 2) + 2", "last[self.tag] << 2) + 1", "size"),
    ],
)
def test_a_wrong_unit_is_found(old: str, new: str, claim: str) -> None:
    reply_store(mutant("opzo.hw.link.replies", old, new).ReplyStore(LIMITS)).refute(claim, 16)
