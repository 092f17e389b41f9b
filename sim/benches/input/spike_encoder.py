"""Testbench of the spike encoder."""

from random import Random
from typing import Any

import cocotb
import numpy as np
from amaranth.lib import data
from cocotb.triggers import FallingEdge, ReadOnly, with_timeout
from cocotb.utils import get_sim_time

from opzo.hw.input.list_counts import list_layout
from opzo.hw.input.scanner import finished_layout, fired_layout, map_layout, placed_layout, spike_layout
from opzo.hw.input.spike_lists import counts_layout
from opzo.sim.benches import bench
from opzo.sim.benches.compare import assert_equal
from opzo.sim.benches.streams import StreamSource, pack, unpack
from opzo.spec.formats import HISTORY_STEPS
from opzo.spec.geometry import CELL_BITS
from opzo.spec.limits import Limits

FILL_CYCLES = 12
"""From the first word to done, beyond one cycle a spike."""
EMPTY = np.zeros(0, np.int64)


class Encoder:
    """The unit, its model, and a reader that watches the lists grow."""

    def __init__(self, dut: Any, rng: Random, stall: float) -> None:
        p = bench.parameters()
        self.dut, self.rng = dut, rng
        self.lanes, self.words = p["lanes"], p["layers"]
        self.limits = limits = Limits(
            lanes=self.lanes, rows=1024, inputs=256, words=p["words"], classes=16, layers=len(p["layers"]), **p["more"]
        )
        self.maps: list[dict[str, int]] = p["maps"]
        """map_layout of each layer, in a device with convolutions."""
        dut.maps.value = pack(data.ArrayLayout(map_layout(limits), limits.layers), self.maps) if self.maps else 0
        self.bases = [sum(self.words[:layer]) for layer in range(len(self.words))]
        self.source = StreamSource(dut, dut.clk, "fired", rng, stall, shape=fired_layout(limits))
        base_bits = len(dut.word_base) // limits.layers
        dut.word_base.value = sum(base << base_bits * layer for layer, base in enumerate(self.bases))
        self.clear_inputs()
        cocotb.start_soon(self._count())

    def clear_inputs(self) -> None:
        """All inputs but the stream 0."""
        for name in ("clear", "step_list", "step_index", "step_next", "step_seek"):
            getattr(self.dut, name).value = 0

    async def clear(self) -> None:
        """Start a run."""
        self.step_lists: dict[tuple[int, int], np.ndarray] = {}
        self.old_lists: dict[tuple[int, int], np.ndarray] = {}
        self.expected: list[tuple[int, int, int]] = []
        """Spikes in order: layer, step, row."""
        self.spikes: list[tuple[int, int, int]] = []
        """As strobed."""
        self.ends: list[tuple[int, int, int]] = []
        """Layer, step and number of spikes so far, by step."""
        self.finished: list[tuple[int, int, int]] = []
        self.expected_places: list[tuple[int, int, int]] = []
        """Layer and number of each word, entry of its first lane."""
        self.places: list[tuple[int, int, int]] = []
        self.dut.clear.value = 1
        await FallingEdge(self.dut.clk)
        self.dut.clear.value = 0

    def put(self, layer: int, step: int, spikes: np.ndarray) -> None:
        """Queue the words of one layer and step; ``spikes``: bool (words, lanes), those that are no neuron ignored."""
        for word in self.words_of(layer, step, spikes):
            self.last = self.source.put(word)

    def words_of(self, layer: int, step: int, spikes: np.ndarray) -> list[dict[str, int]]:
        """Words of one layer and step, which are expected from now on."""
        key = (layer, step % 2)
        exists, entries = self.entries(layer)
        spikes = spikes & exists.reshape(spikes.shape)
        rows = np.flatnonzero(spikes)
        self.old_lists[key] = self.step_lists.get(key, EMPTY)
        self.step_lists[key] = entries[rows]
        self.expected += [(layer, step, row) for row in rows.tolist()]
        self.ends.append((layer, step, len(self.expected)))
        if self.maps:
            self.expected_places += [(layer, word, int(entries[word * self.lanes])) for word in range(len(spikes))]
        return [
            {
                "layer": layer,
                "parity": step % 2,
                "step": step,
                "word": word,
                "last": word == len(spikes) - 1,
                "spikes": bits(spikes[word]),
            }
            for word in range(len(spikes))
        ]

    def entries(self, layer: int) -> tuple[np.ndarray, np.ndarray]:
        """Which numbers of a layer have a neuron, and the entry of each in the lists."""
        rows = np.arange(self.words[layer] * self.lanes)
        if not self.maps:
            return np.ones(len(rows), bool), rows
        map = self.maps[layer]
        position, channel = np.divmod(rows, map["words"] * self.lanes)
        place = position >> CELL_BITS if map["cells"] else position
        return channel < map["channels"], place * map["channels"] + channel

    async def taken(self) -> None:
        """Wait until all words were taken."""
        await with_timeout(self.last.wait(), 1, "ms")

    async def done(self) -> None:
        """Wait until all words were taken and encoded."""
        await self.taken()
        while not self.dut.done.value:
            await FallingEdge(self.dut.clk)

    async def check_lists(self) -> None:
        """Compare all lists, once done."""
        dut = self.dut
        for layer in range(len(self.words)):
            for parity in range(2):
                expected = self.step_lists.get((layer, parity), EMPTY)
                dut.step_list.value = pack(list_layout(self.limits), {"layer": layer, "parity": parity})
                rows = await self.read(len(expected))
                assert self.step_counts()[layer][parity] == len(expected), f"step list {layer}, {parity}"
                assert_equal(rows, expected, what=f"step list {layer}, {parity}", seed=bench.seed())
        assert self.spikes == self.expected, "spikes as strobed"
        assert self.places == self.expected_places, "entries of words as strobed"
        assert self.finished == self.ends, "ends of steps as strobed, and the spikes before them"

    async def read(self, count: int) -> list[int]:
        """Entries 0 to count - 1, and one cycle at least."""
        dut, values = self.dut, []
        for n in range(max(1, count)):
            while self.maps and self.rng.random() < 0.2:
                dut.step_next.value = 0
                await FallingEdge(dut.clk)
            # With convolutions the list begins at group 0.
            dut.step_index.value = 0 if self.maps else n
            dut.step_next.value, dut.step_seek.value = 1, n == 0
            await FallingEdge(dut.clk)
            dut.step_seek.value = 0
            values.append(int(dut.step_row.value) + (int(dut.step_lane.value).bit_length() - 1 if self.maps else 0))
        dut.step_next.value = 0
        return values[:count]

    async def watch(self) -> None:
        """Read random entries until cancelled: what lies below the count is right, whether or not more is coming."""
        dut, rng = self.dut, self.rng
        complete: list[tuple[int, int, np.ndarray]] = []
        steps = self.step_counts()
        while True:
            # An entry can be read from the cycle after that in which it is counted.
            steps_before, steps = steps, self.step_counts()
            layer, parity = rng.randrange(len(self.words)), rng.getrandbits(1)
            whole: np.ndarray | None = None
            if complete:
                layer, parity, whole = complete.pop()
            limit = self.words[layer] * self.lanes
            index = rng.randrange(limit)
            dut.step_list.value, dut.step_index.value = (
                pack(list_layout(self.limits), {"layer": layer, "parity": parity}),
                index,
            )
            # Bit 0 is valid. The list is the expected one now; in the next cycle another may have been sent.
            if int(dut.finished.value) & 1:
                strobe = unpack(finished_layout(self.limits), int(dut.finished.value))
                key = strobe["layer"], strobe["step"] % 2
                complete.append((*key, self.step_lists[key]))
            count = steps_before[layer][parity]
            await FallingEdge(dut.clk)
            row = int(dut.step_row.value)
            if whole is not None:
                assert count == len(whole), f"{count} of {len(whole)} entries when finished"
                choices = [whole]
            else:
                choices = [lists.get((layer, parity), EMPTY) for lists in (self.step_lists, self.old_lists)]
            assert any(count <= len(rows) and (index >= count or rows[index] == row) for rows in choices)

    def step_counts(self) -> list[list[int]]:
        """Entries of the step lists, by layer and parity."""
        counts: list[list[int]] = unpack(counts_layout(self.limits), int(self.dut.step_counts.value))
        return counts

    async def _count(self) -> None:
        while True:
            await FallingEdge(self.dut.clk)
            if self.dut.rst.value:
                continue
            # Bit 0 of both is valid. A spike beside ``finished`` is of a later step.
            if int(self.dut.finished.value) & 1:
                assert self.dut.done.value == 0, "done before the last step list was finished"
                finished = unpack(finished_layout(self.limits), int(self.dut.finished.value))
                self.finished.append((finished["layer"], finished["step"], len(self.spikes)))
            if int(self.dut.placed.value) & 1:
                placed = unpack(placed_layout(self.limits), int(self.dut.placed.value))
                self.places.append((placed["layer"], placed["word"], placed["entry"]))
            if int(self.dut.spike.value) & 1:
                assert self.dut.done.value == 0, "done before the last spike"
                spike = unpack(spike_layout(self.limits), int(self.dut.spike.value))
                assert spike["parity"] == spike["step"] % 2
                self.spikes.append((spike["layer"], spike["step"], spike["row"]))


def cycles_since(begin: float) -> int:
    """Clock cycles since a time in ns."""
    return round((get_sim_time("ns") - begin) / 10)


def bits(flags: np.ndarray) -> int:
    """Bit n is flag n."""
    return sum(1 << int(n) for n in np.flatnonzero(flags))


def draw_spikes(rng: Random, words: int, lanes: int) -> np.ndarray:
    """Spikes of a layer, bool (words, lanes): empty, full, single ones, or of any density, word by word."""
    spikes = np.zeros((words, lanes), bool)
    for word in range(words):
        density = rng.choice((0, 0, 0.05, 0.2, 0.5, 1))
        spikes[word] = [rng.random() < density for _ in range(lanes)]
        if rng.random() < 0.3:
            spikes[word, rng.choice((0, lanes - 1, rng.randrange(lanes)))] = True
    return spikes


async def run_steps(encoder: Encoder, steps: int, spikes: Any = draw_spikes) -> None:
    """Run with the layers one step apart, as the sequencer does."""
    layers = len(encoder.words)
    await encoder.clear()
    # Lists of groups are read only when they are complete.
    watcher = None if encoder.maps else cocotb.start_soon(encoder.watch())
    for macro in range(steps + layers - 1):
        for layer in range(layers):
            if 0 <= macro - layer < steps:
                encoder.put(layer, macro - layer, spikes(encoder.rng, encoder.words[layer], encoder.lanes))
        # A list is written again two steps later.
        if macro % 2 or macro == steps + layers - 2:
            await encoder.done()
    if watcher is not None:
        watcher.cancel()
    await encoder.check_lists()


@cocotb.test(timeout_time=100, timeout_unit="ms")
async def matches_golden(dut: Any) -> None:
    p, rng = bench.parameters(), Random(bench.seed())
    encoder = Encoder(dut, rng, 0)
    await bench.start(dut)
    for fill in (False, True):
        await run_steps(encoder, 2, lambda _, words, lanes, fill=fill: np.full((words, lanes), fill))
    for lane in (0, encoder.lanes - 1):
        await run_steps(
            encoder, HISTORY_STEPS, lambda _, words, lanes, lane=lane: np.tile(np.arange(lanes) == lane, (words, 1))
        )
    for _ in range(p["samples"]):
        encoder.source.stall = rng.choice((0, 0.3, 0.9))
        await run_steps(encoder, rng.choice((1, 2, HISTORY_STEPS)))


@cocotb.test(timeout_time=100, timeout_unit="ms")
async def takes_one_cycle_a_spike(dut: Any) -> None:
    p, rng = bench.parameters(), Random(bench.seed())
    encoder = Encoder(dut, rng, 0)
    await bench.start(dut)
    for words in [np.full((p["layers"][0], p["lanes"]), True), np.full((p["layers"][0], p["lanes"]), False)] + [
        draw_spikes(rng, p["layers"][0], p["lanes"]) for _ in range(100)
    ]:
        await encoder.clear()
        begin = get_sim_time("ns")
        encoder.put(0, 0, words)
        await encoder.taken()
        assert cycles_since(begin) == 1 + len(words), "the queue did not take a word a cycle"
        await encoder.done()
        empty = int((~words.any(axis=1)).sum())
        assert cycles_since(begin) <= words.sum() + empty + FILL_CYCLES
        await encoder.check_lists()


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def takes_words_as_fast_as_one_group_emits_them(dut: Any) -> None:
    encoder = Encoder(dut, Random(bench.seed()), 0)
    await bench.start(dut)
    if encoder.limits.groups > 1:
        return
    await encoder.clear()
    for step in range(2):
        for word in encoder.words_of(0, step, np.full((encoder.words[0], encoder.lanes), True)):
            encoder.last = encoder.source.put(word)
            for _ in range(encoder.lanes):
                assert dut.fired__ready.value == 1, f"word {word['word']} of step {step}"
                await FallingEdge(dut.clk)
    await encoder.done()
    await encoder.check_lists()


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def reset_empties_everything(dut: Any) -> None:
    rng = Random(bench.seed())
    encoder = Encoder(dut, rng, 0)
    await bench.start(dut)
    for _ in range(20):
        await encoder.clear()
        encoder.put(0, 0, np.full((encoder.words[0], encoder.lanes), True))
        await encoder.taken()
        for _ in range(rng.randrange(encoder.words[0] * encoder.lanes)):
            await FallingEdge(dut.clk)
        dut.rst.value = 1
        await FallingEdge(dut.clk)
        dut.rst.value = 0
        await ReadOnly()
        assert dut.done.value == 1
        await FallingEdge(dut.clk)
        await run_steps(encoder, 3)
