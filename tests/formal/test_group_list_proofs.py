"""Lists of groups of lanes: spikes are read one by one in the order of the lists, and lists do not touch each other."""

import pytest
from amaranth import Array, Cat, Mux, Signal
from proof import Proof, mutant

from opzo.hw.input.group_lists import GroupLists
from opzo.hw.input.scanner import lowest
from opzo.spec.limits import Limits

pytestmark = pytest.mark.formal

LIMITS = Limits(lanes=4, rows=64, inputs=4, words=4, classes=2, layers=2, gradients=8, blocks=4)
"""Two layers of two words, which are groups of four lanes: four lists of two groups."""
GROUPS = LIMITS.words // LIMITS.layers


def group_lists(unit: GroupLists) -> Proof:
    """Appending, emptying, clearing and reading are free; no list gets more groups than its layer has."""
    proof = Proof(unit, arrays=True)
    m, inside, group, empty = proof.m, proof.inside, unit.group, unit.empty
    for layer in range(LIMITS.layers):
        proof.assume(f"base_{layer}", unit.word_base[layer] == layer * GROUPS)
    fill, counts = inside["counts.fill"], inside["counts.counts"]
    same = (empty.layer == group.layer) & (empty.parity == group.parity)
    proof.assume("room", ~group.valid | (fill < GROUPS))
    proof.assume("empty", ~group.valid | ~(unit.clear | (empty.valid & same)))
    proof.assume("spikes", ~group.valid | (group.spikes != 0))

    # A list that the solver chooses, and all that is in it.
    layer, parity = proof.constant(1, "layer"), proof.constant(1, "parity")
    count = Signal(range(GROUPS + 1), name="model_count")
    entries = [Signal.like(group.entry, name=f"model_entry_{n}") for n in range(GROUPS)]
    spikes = [Signal.like(group.spikes, name=f"model_spikes_{n}") for n in range(GROUPS)]
    appends = group.valid & (group.layer == layer) & (group.parity == parity)
    empties = unit.clear | (empty.valid & (empty.layer == layer) & (empty.parity == parity))
    with m.If(appends):
        m.d.sync += [count.eq(count + 1), Array(entries)[count].eq(group.entry), Array(spikes)[count].eq(group.spikes)]
    with m.If(empties):
        m.d.sync += count.eq(0)

    # A reader of this list. It is followed from a seek on, until it changes the list, asks for what is not there, or
    # seeks without asking.
    follows, asked = Signal(name="model_follows"), Signal(name="model_asked")
    place, left, spike = (
        Signal(range(2 * GROUPS), name="model_place"),
        Signal.like(group.spikes, name="model_left"),
        Signal.like(group.spikes, name="model_spike"),
    )
    goes_on = Mux(left == 0, place + 1, place)
    new_place = Mux(unit.seek, unit.index, goes_on)
    here = (unit.layer == layer) & (unit.parity == parity)
    # Complete: nothing is appended now or was in the last cycle, and what is asked for is there.
    complete = ~appends & ~proof.before(appends) & ~empties
    there = (new_place < count) & here & complete
    available = Mux(unit.seek | (left == 0), Array(spikes)[new_place[:1]], left)
    m.d.sync += asked.eq(unit.next)
    with m.If(unit.next):
        m.d.sync += [
            follows.eq(there & (unit.seek | follows)),
            place.eq(new_place),
            spike.eq(lowest(available)),
            left.eq(available & ~lowest(available)),
        ]
    with m.Elif(~here | ~complete | unit.seek):
        m.d.sync += follows.eq(0)
    answered = follows & asked
    entry = Array(entries)[place[:1]]
    proof.claim("count", counts.word_select(Cat(parity, layer), len(fill)) == count)
    proof.claim("entry", ~answered | (unit.row == entry))
    proof.claim("spike", ~answered | (unit.lane == spike))
    proof.claim("some", ~answered | (unit.lane != 0))

    at, fresh, some, rest = (inside[name] for name in ("at", "fresh", "some", "rest"))
    write = {name: inside[f"write__{name}"] for name in ("addr", "data", "en")}
    for n in range(GROUPS):
        address = Cat(parity, layer * GROUPS + n)[: len(write["addr"])]
        word = Cat(entries[n], spikes[n])
        stored, writing = proof.memory("memory", address) == word, write["en"] & (write["addr"] == address)
        proof.lemma(f"stored_{n}", (n >= count) | stored | writing)
        proof.lemma(f"writing_{n}", (n >= count) | ~writing | (write["data"] == word))
        proof.lemma(f"written_{n}", (n >= count) | proof.before(n >= count) | stored)
        proof.lemma(f"spikes_{n}", (n >= count) | (spikes[n] != 0))
    for number in range(2 * LIMITS.layers):
        proof.lemma(f"most_{number}", counts.word_select(number, len(fill)) <= GROUPS)
    current = Cat(entry, left | spike)
    proof.lemma("asked", inside["asked"] == asked)
    proof.lemma("place", ~follows | (place < count))
    proof.lemma("one", ~answered | ((lowest(left | spike) == spike) & (spike != 0) & ((left & spike) == 0)))
    proof.lemma("at", ~follows | (at == (place + 1 - (asked & fresh))[: len(at)]))
    proof.lemma("current", ~answered | (inside["current"] == current))
    proof.lemma("rest", ~(follows & ~asked) | (some == (left != 0)))
    proof.lemma("left", ~(follows & ~asked) | ~some | (rest == Cat(entry, left)))
    proof.lemma("sought", ~follows | asked | ~inside["sought"])
    proof.cover("second_group", answered & ~proof.before(unit.seek) & (place == 1) & (layer == 1) & (left != 0))
    return proof


def test_spikes_are_read_one_by_one() -> None:
    """Unbounded, by induction over 2 cycles, in small: four lists of two groups of four lanes."""
    proof = group_lists(GroupLists(LIMITS))
    proof.induction(2)
    proof.reached(8)


@pytest.mark.parametrize(
    ("old", "new", "claim"),
    [
        ("write.data.spikes.eq(group.spikes)", "write.data.spikes.eq(self.group.spikes[::-1])", "spike"),
        ("self.word_base[layer] <<", "self.word_base[0] <<", "entry"),
        ("some.eq(~at_most_one(current.spikes))", "some.eq(current.spikes != 0)", "some"),
        ("fresh.eq(sought | ~some)", "fresh.eq(~some)", "entry"),
        ("at + (asked & fresh)", "at + asked", "entry"),
    ],
)
def test_a_wrong_unit_is_found(old: str, new: str, claim: str) -> None:
    group_lists(mutant("opzo.hw.input.group_lists", old, new).GroupLists(LIMITS)).refute(claim, 8)
