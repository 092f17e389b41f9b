"""Driver of the presynaptic traces for their testbench."""

from random import Random
from typing import Any

import cocotb
import numpy as np
from amaranth.lib import data
from cocotb.triggers import FallingEdge

from opzo.hw.input.map_scan import scan_layout, scanned_layout
from opzo.hw.input.traces import ENTRY
from opzo.hw.timing import TRACE_SETTLE
from opzo.sim.benches import bench
from opzo.sim.benches.compare import assert_equal
from opzo.sim.benches.input.map_scan import scanned
from opzo.sim.benches.streams import pack, unpack
from opzo.sim.golden.traces import Traces
from opzo.spec.formats import HISTORY_STEPS
from opzo.spec.geometry import CELL

Mark = tuple[int, int, int]
"""Layer, row, step (of graded inputs the value)."""
STRANGE = (1 << HISTORY_STEPS) - 1


class Driver:
    """The unit and its golden twin, one for each layer."""

    def __init__(self, dut: Any, rng: Random) -> None:
        p = bench.parameters()
        self.dut, self.rng = dut, rng
        self.bits, self.rows, self.graded = p["bits"], p["rows"], p["graded"]
        self.depth = p.get("depth", 1 << self.bits)
        self.bases = [sum(self.rows[:layer]) for layer in range(len(self.rows))]
        self.firsts: list[int] = []
        """Layers of the marks that were the first of their rows, as strobed."""
        self.expected_firsts: list[int] = []
        self.maps = p["maps"]
        """scan_layout of each layer; none without scans."""
        for name in ("begin", "fresh", "steps", "clear", "mark", "list_index", "index", "scan", "maps"):
            getattr(dut, name).value = 0
        dut.graded.value = self.graded
        bases = data.ArrayLayout(self.bits, len(self.rows))
        dut.base.value = pack(bases, self.bases)
        self.mark_layout = data.StructLayout(
            {"valid": 1, "layer": range(max(2, len(self.rows))), "row": self.bits, "bits": HISTORY_STEPS}
        )
        self.first_layout = data.StructLayout({"valid": 1, "layer": range(max(2, len(self.rows)))})
        self.forget()
        cocotb.start_soon(self._watch())

    def forget(self) -> None:
        """Golden twins after a clear."""
        self.entries = np.zeros((2, self.depth), np.uint8)
        parts = [slice(base, base + rows) for base, rows in zip(self.bases, self.rows, strict=True)]
        self.golden = [Traces(self.entries[0, part], self.entries[1, part]) for part in parts]

    async def _watch(self) -> None:
        while True:
            await FallingEdge(self.dut.clk)
            strobe = unpack(self.first_layout, int(self.dut.first.value))
            if strobe["valid"] and not self.dut.rst.value:
                self.firsts.append(strobe["layer"])

    async def start(self) -> None:
        """Reset, and wait for the wipe after it."""
        await bench.start(self.dut)
        assert self.dut.walking.value == 1
        await self.walked()
        await self.check("after reset")

    async def walked(self) -> int:
        """Wait until a walk has ended; its cycles from this one on."""
        cycles = 0
        while self.dut.walking.value:
            assert self.dut.busy.value == 1
            cycles += 1
            assert cycles < 4 << self.bits | 64
            await FallingEdge(self.dut.clk)
        return cycles

    async def settled(self) -> None:
        """Wait until no mark is under way."""
        for _ in range(8):
            if not self.dut.busy.value:
                return
            await FallingEdge(self.dut.clk)
        raise AssertionError("marks never end")

    async def begin(self, steps: int, *, fresh: bool) -> None:
        """Begin a run, with all that belongs to a walk."""
        dut = self.dut
        dut.steps.value, dut.fresh.value, dut.begin.value = steps, fresh, 1
        await FallingEdge(dut.clk)
        dut.begin.value = 0
        assert dut.walking.value == 1
        # A cycle to go to a list, one for each row of it, at least one.
        expected = sum(1 + max(1, len(golden.active)) for golden in self.golden) + TRACE_SETTLE
        for golden in self.golden:
            golden.begin(steps, fresh=fresh, graded=self.graded)
        cycles = await self.walked()
        assert cycles == expected, f"{cycles} cycles, not {expected}"
        dut.steps.value, dut.fresh.value = self.rng.randrange(HISTORY_STEPS + 1), self.rng.getrandbits(1)

    async def clear(self) -> None:
        """Clear, and wait for it."""
        self.dut.clear.value = 1
        await FallingEdge(self.dut.clk)
        self.dut.clear.value = 0
        self.forget()
        assert self.dut.walking.value == 1
        await self.walked()

    async def mark(self, marks: list[Mark | None]) -> None:
        """Marks in consecutive cycles; None is a cycle without one. They may still be under way."""
        for mark in marks:
            strange = {"valid": 0, "layer": 0, "row": self.rng.getrandbits(self.bits), "bits": STRANGE}
            self.dut.mark.value = pack(self.mark_layout, strange if mark is None else self._mark(*mark))
            await FallingEdge(self.dut.clk)
        self.dut.mark.value = 0

    def _mark(self, layer: int, row: int, step: int) -> dict[str, int]:
        golden = self.golden[layer]
        if self.graded:
            first = int(golden.history[row] == 0)
            golden.mark_graded(np.array([row]), np.array([step]))
        else:
            first = golden.mark(np.array([row]), step)
        self.expected_firsts += [layer] * first
        return {"valid": 1, "layer": layer, "row": row, "bits": step if self.graded else 1 << step}

    async def check(self, what: str) -> None:
        """Compare all lists and entries, while nothing is under way."""
        dut, seed = self.dut, bench.seed()
        assert dut.busy.value == 0
        counts = unpack(data.ArrayLayout(self.bits + 1, len(self.rows)), int(dut.counts.value))
        assert_equal(counts, [len(golden.active) for golden in self.golden], what=f"counts {what}", seed=seed)
        for layer, golden in enumerate(self.golden):
            # Backwards: the last row may have come in the cycle before.
            order = list(range(len(golden.active)))[::-1]
            for places in (order, self.rng.sample(order, min(3, len(order)))):
                rows = []
                for place in places:
                    dut.list_index.value = self.bases[layer] + place
                    await FallingEdge(dut.clk)
                    rows.append(int(dut.row.value))
                assert_equal(rows, golden.active[places], what=f"list of layer {layer} {what}", seed=seed)
        entries = []
        for index in range(self.depth):
            dut.index.value = index
            await FallingEdge(dut.clk)
            await FallingEdge(dut.clk)
            entry = unpack(ENTRY, int(dut.entry.value))
            entries.append((entry["trace"], entry["history"]))
        assert_equal(np.array(entries).T, self.entries, what=f"entries {what}", seed=seed)
        assert_equal(self.firsts, self.expected_firsts, what=f"first marks {what}", seed=seed)
        self.firsts.clear()
        self.expected_firsts.clear()

    async def run(self, steps: int, marks: list[Mark | None], *, fresh: bool, what: str, hurry: bool = False) -> None:
        """A run of some length with its marks; the one after it may begin at once."""
        await self.begin(steps, fresh=fresh)
        await self.mark(marks)
        await self.settled()
        if not hurry:
            await self.check(what)

    async def scan(self) -> None:
        """Scan the maps; compare their lists, their entries, and the ends of positions and parts."""
        dut = self.dut
        dut.maps.value, dut.scan.value = pack(data.ArrayLayout(scan_layout(), len(self.rows)), self.maps), 1
        await FallingEdge(dut.clk)
        dut.scan.value = 0
        ends_layout = data.StructLayout(
            {"en": 1, "place": scanned_layout(self.bits)["place"].shape, "count": self.bits + 1}
        )
        ends: dict[tuple[int, int], int] = {}
        cycles = 0
        while dut.busy.value:
            strobe = unpack(ends_layout, int(dut.ends.value))
            if strobe["en"]:
                ends[int(dut.ends_layer.value), strobe["place"]] = strobe["count"]
            cycles += 1
            assert cycles <= (1 << self.bits) + 2 * len(self.rows) + TRACE_SETTLE + 2
            await FallingEdge(dut.clk)
        expected_ends: dict[tuple[int, int], int] = {}
        for layer, (golden, map) in enumerate(zip(self.golden, self.maps, strict=True)):
            if not map["is_map"]:
                continue
            rows, parts = [], []
            for neuron in scanned(map):
                if golden.trace[neuron["row"]] or golden.history[neuron["row"]]:
                    rows.append(neuron["row"])
                if neuron["ends"]:
                    expected_ends[layer, neuron["place"]] = len(rows)
                if neuron["ends_part"]:
                    parts.append(len(rows))
            assert sorted(rows) == sorted(golden.active.tolist())
            golden.active = np.array(rows, np.int64)
            for place in reversed(range(len(rows))):
                dut.list_index.value = self.bases[layer] + place
                await FallingEdge(dut.clk)
                assert int(dut.row.value) == rows[place], f"{map}"
            if parts:
                got = unpack(data.ArrayLayout(self.bits + 1, CELL - 1), int(dut.part_ends.value))
                assert got == parts[:-1], f"seed {bench.seed()}: ends of parts of {map}"
        assert ends == expected_ends, f"seed {bench.seed()}: ends of positions of {self.maps}"

    def random_marks(self, density: float, steps: int) -> list[Mark | None]:
        """Step by step the rows that spike, ascending; at times with gaps; of graded inputs one step."""
        rng = self.rng
        marks: list[Mark | None] = []
        gap = rng.choice((0, 0, 0.3, 0.7))
        for step in range(1 if self.graded else steps):
            for layer, rows in enumerate(self.rows):
                for row in range(rows):
                    if rng.random() < density:
                        marks.append((layer, row, rng.choice((1, 255, rng.randrange(1, 256))) if self.graded else step))
                        while rng.random() < gap:
                            marks.append(None)
        return marks
