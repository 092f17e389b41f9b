"""Event buffer: both sides keep to their halves, and events come out as they came in."""

import pytest
from amaranth import Array, Cat, Mux, Signal, Value
from proof import Proof, mutant
from streams import assume_held, moved

from opzo.hw.input.event_buffer import EventBuffer
from opzo.hw.input.traces import STEPS_BITS
from opzo.spec.formats import HISTORY_STEPS
from opzo.spec.limits import Limits

pytestmark = pytest.mark.formal

LIMITS = Limits(lanes=4, rows=64, inputs=2, words=4, classes=1)
"""Two events in a half."""


def event_buffer(unit: EventBuffer) -> Proof:
    """Events, runs, discards, releases and reads are free; release and the streams keep to their rules."""
    proof = Proof(unit)
    inside, m = proof.inside, proof.m
    assume_held(proof, "event", unit.event)
    assume_held(proof, "run", unit.run)
    proof.assume("release", ~unit.release | unit.sample_valid)
    # Input side: the half that gets what comes now. Reading side: the oldest half. Both sides: what a half has.
    fill, oldest, used = Signal(name="model_fill"), Signal(name="model_oldest"), Signal(2, name="model_used")
    count = [Signal(range(LIMITS.events + 1), name=f"model_count_{half}") for half in range(2)]
    steps = [Signal(STEPS_BITS, name=f"model_steps_{half}") for half in range(2)]
    samples = [Signal(len(Value.cast(unit.run.p)), name=f"model_sample_{half}") for half in range(2)]
    # End of a time step that the solver chooses.
    step, ends = (
        proof.constant(range(HISTORY_STEPS), "step"),
        [Signal.like(count[0], name=f"model_end_{h}") for h in range(2)],
    )
    event = unit.event.p
    takes, marks = moved(unit.event) & (event.ends == 0), moved(unit.event) & (event.ends != 0)
    discards, closes = unit.discard & unit.event.ready, moved(unit.run)
    for half in range(2):
        with m.If((fill == half) & takes & (count[half] < LIMITS.events)):
            m.d.sync += count[half].eq(count[half] + 1)
        with m.If((fill == half) & marks):
            m.d.sync += steps[half].eq(steps[half] + event.ends)
            with m.If(steps[half] <= step):
                m.d.sync += ends[half].eq(count[half])
        with m.If((fill == half) & discards | (oldest == half) & unit.release):
            m.d.sync += [count[half].eq(0), steps[half].eq(0)]
        with m.If((fill == half) & closes):
            m.d.sync += samples[half].eq(Value.cast(unit.run.p))
    m.d.sync += [fill.eq(fill ^ closes), oldest.eq(oldest ^ unit.release), used.eq(used + closes - unit.release)]

    # An event that the solver chooses, until its half is discarded or released.
    choose, watching, half, index = proof.any(1, "choose"), Signal(), Signal(), Signal.like(count[0], name="index")
    address, value = Signal.like(event.address), Signal.like(event.value)
    with m.If(~watching & takes & ~discards & choose & (Array(count)[fill] < LIMITS.events)):
        m.d.sync += [watching.eq(1), half.eq(fill), index.eq(Array(count)[fill])]
        m.d.sync += [address.eq(event.address), value.eq(event.value)]
    with m.Elif((half == oldest) & unit.release):
        m.d.sync += watching.eq(0)
    with m.If(watching & (half == fill) & discards):
        m.d.sync += watching.eq(0)

    own = {name: inside[name] for name in ("runs", "event", "mark", "end", "discard", "filling", "oldest")}
    write_en, write_half = inside["write__en"], inside["write__addr"][-1]
    writes = own["event"] | own["mark"] | own["discard"]
    closed = [inside[f"closed_{h}"] for h in range(2)]
    valid = unit.sample_valid
    proof.claim("memory_halves", ~write_en | ~Array(closed)[write_half])
    proof.claim("sides", ~(valid & (writes | own["end"])) | (own["filling"] != own["oldest"]))
    proof.claim("read_half", ~valid | Array(closed)[own["oldest"]])
    proof.claim("credits", (own["runs"] <= 2) & (~unit.release | (own["runs"] != 0)) & (own["runs"] == used))
    proof.claim("ready", (unit.event.ready == (used != 2)) & (unit.run.ready == (used != 2)))
    proof.claim("queued", unit.queued == (used != 0))
    proof.claim("only_closed", ~valid | (used != 0))
    proof.claim("goes_on", valid | (used == 0) | proof.before(closes))
    proof.claim("in_order", ~valid | (Value.cast(unit.sample) == Array(samples)[oldest]))
    proof.claim("count", ~valid | (unit.counts.count == Array(count)[oldest]))
    proof.claim("steps", ~valid | (unit.steps == Array(steps)[oldest]))
    end = Array(ends)[oldest]
    proof.claim("ends", ~valid | (step >= Array(steps)[oldest]) | (Array(unit.counts.ends)[step] == end))
    reads = proof.before(watching & valid & (half == oldest) & (unit.read.index == index))
    read = (unit.read.address == proof.before(address)) & (unit.read.value == proof.before(value))
    proof.claim("events", ~reads | read)
    proof.claim("within", ~(watching & valid & (half == oldest)) | (index < unit.counts.count))
    proof.claim("dropped", ~unit.dropped | proof.before(takes & (Array(count)[fill] == LIMITS.events)))

    number = closed[0] + closed[1]
    two = (closed[0] == closed[1]) == (own["filling"] == own["oldest"])
    proof.lemma("sides", (own["oldest"] == oldest) & (fill == own["filling"] ^ own["end"]) & two)
    proof.lemma("first", (number != 1) | Array(closed)[oldest])
    proof.lemma("used", used == number + own["end"])
    proof.lemma("ends_open", ~(own["end"] | writes) | ~Array(closed)[own["filling"]])
    proof.lemma("open", unit.event.ready == (used != 2))
    taken = inside["taken"]
    taken_address, taken_value, taken_ends = taken[:14], taken[14:22], taken[22:]
    for h in range(2):
        here = own["filling"] == h
        unit_steps, unit_count, unit_ends = (
            inside[f"steps_{h}"],
            inside[f"count_{h}"],
            Array(inside[f"end_{h}_{n}"] for n in range(HISTORY_STEPS)),
        )
        gone = here & own["discard"]
        proof.lemma(f"count_{h}", count[h] == Mux(gone, 0, unit_count + (here & write_en))[: len(count[h])])
        proof.lemma(
            f"steps_{h}",
            steps[h] == Mux(gone, 0, unit_steps + Mux(here & own["mark"], taken_ends, 0))[: len(unit_steps)],
        )
        marked = here & own["mark"] & (unit_steps <= step)
        proof.lemma(f"ends_{h}", ends[h] == Mux(marked, unit_count, unit_ends[step]))
        sample = Mux(own["end"] & here, inside["ended"], inside[f"sample_{h}"])
        proof.lemma(f"sample_{h}", ~(closed[h] | (own["end"] & here)) | (samples[h] == sample))
        proof.lemma(f"most_{h}", unit_count <= LIMITS.events)
        pending = here & write_en & (unit_count == index)
        pending &= (taken_address == address) & (taken_value == value)
        stored = (unit_count > index) & (proof.memory("memory", Cat(index[:-1], half)) == Cat(address, value))
        proof.lemma(f"watched_{h}", ~watching | (half != h) | (~gone & (pending | stored)))
    proof.lemma("exclusive", ~(own["event"] & own["mark"]))
    proof.lemma("mark", own["mark"] == (own["mark"] & (taken_ends != 0)))
    proof.lemma("index", index < LIMITS.events)
    proof.lemma("half", ~watching | (half == fill) | (used != 0))
    proof.cover("second_event", reads & (index == 1))
    proof.cover("full", (used == 2) & unit.release & (Array(count)[oldest] == LIMITS.events))
    return proof


def test_halves_are_written_by_one_side_and_keep_their_events() -> None:
    """Unbounded, by induction over 2 cycles, in small: two events in a half.

    The side of the link writes only a half that is open, the engine reads only one that is closed. At most two runs are
    in the buffer, which are the credits of the link, and never less than none. Each event of a run that is not
    discarded is read at its index, runs come in order, and ends of time steps are those received.
    """
    proof = event_buffer(EventBuffer(LIMITS))
    proof.induction(2)
    proof.reached(10)


@pytest.mark.parametrize(
    ("old", "new", "claim"),
    [
        ("is_open.eq(next_runs != 2)", "is_open.eq(next_runs != 3)", "memory_halves"),
        ("fill[:-1] | (filling << self.index_bits)", "fill[:-1] | (oldest << self.index_bits)", "events"),
        ("event & ~fill[-1]),", "event),", "events"),
        ("runs + (self.run.valid & is_open)", "runs + self.run.valid", "credits"),
    ],
)
def test_a_wrong_unit_is_found(old: str, new: str, claim: str) -> None:
    unit = mutant("opzo.hw.input.event_buffer", old, new)
    event_buffer(unit.EventBuffer(LIMITS)).refute(claim, 9)
