"""Lists of spikes: entries are read as they were appended, and lists do not touch each other."""

import pytest
from amaranth import Cat, Signal
from proof import Proof, mutant

from opzo.hw.input.spike_lists import SpikeLists
from opzo.spec.limits import Limits

pytestmark = pytest.mark.formal

LIMITS = Limits(lanes=4, rows=64, inputs=4, words=2, classes=2, layers=2)
"""Two layers of one word: four lists of four entries."""


def spike_lists(unit: SpikeLists) -> Proof:
    """Appending, emptying, clearing and reading are free; no list gets more entries than its layer has neurons."""
    proof = Proof(unit, arrays=True)
    m, spike, empty = proof.m, unit.spike, unit.empty
    for layer in range(LIMITS.layers):
        proof.assume(f"base_{layer}", unit.word_base[layer] == layer)
    # A list and an index that the solver chooses, the entry there, and the number of entries.
    layer, parity = proof.constant(1, "layer"), proof.constant(1, "parity")
    index = proof.constant(LIMITS.lane_bits, "chosen_index")
    count, entry = Signal(range(LIMITS.lanes + 1), name="model_count"), Signal(len(spike.entry), name="model_entry")
    appends = spike.valid & (spike.layer == layer) & (spike.parity == parity)
    with m.If(appends):
        m.d.sync += count.eq(count + 1)
        with m.If(count == index):
            m.d.sync += entry.eq(spike.entry)
    with m.If(unit.clear | (empty.valid & (empty.layer == layer) & (empty.parity == parity))):
        m.d.sync += count.eq(0)
    fill = proof.inside["counts.fill"]
    proof.assume("room", ~spike.valid | (fill < LIMITS.lanes))
    same = (empty.layer == spike.layer) & (empty.parity == spike.parity)
    proof.assume("empty", ~spike.valid | ~(unit.clear | (empty.valid & same)))
    proof.claim("count", unit.counts[layer][parity] == count)
    is_there = (index < count) & proof.before(index < count)
    reads = is_there & (unit.layer == layer) & (unit.parity == parity) & (unit.index == index)
    proof.claim("entry", ~proof.before(reads) | (unit.row == proof.before(entry)))

    address = Cat(parity, index, layer)
    write = {name: proof.inside[f"write__{name}"] for name in ("addr", "data", "en")}
    stored = proof.memory("memory", address) == entry
    proof.lemma("stored", (index >= count) | stored | (write["en"] & (write["addr"] == address)))
    proof.lemma("writing", (index >= count) | ~write["en"] | (write["addr"] != address) | (write["data"] == entry))
    proof.lemma("written", ~proof.before(index < count) | (index >= count) | stored)
    for each in range(LIMITS.layers):
        for number in range(2):
            proof.lemma(f"most_{each}_{number}", unit.counts[each][number] <= LIMITS.lanes)
    proof.cover("second", proof.before(reads) & (index == 1) & (layer == 1))
    return proof


def test_lists_are_read_as_they_were_appended() -> None:
    """Unbounded, by induction over 2 cycles, in small: four lists of four entries."""
    proof = spike_lists(SpikeLists(LIMITS))
    proof.induction(2)
    proof.reached(8)


@pytest.mark.parametrize(
    ("old", "new", "claim"),
    [
        ("write.data.eq(written.entry)", "write.data.eq(self.spike.entry)", "entry"),
        ("self.word_base[layer])[: width", "self.word_base[0])[: width", "entry"),
    ],
)
def test_a_wrong_unit_is_found(old: str, new: str, claim: str) -> None:
    spike_lists(mutant("opzo.hw.input.spike_lists", old, new).SpikeLists(LIMITS)).refute(claim, 8)
