"""Testbench of the run reader."""

from random import Random
from typing import Any

import cocotb
import numpy as np
from cocotb.triggers import FallingEdge, ReadOnly
from cocotb.utils import get_sim_time

from opzo.hw.input.position_ends import ListKind, window_list
from opzo.hw.schedule.run_reader import run_layout
from opzo.hw.schedule.window_walk import span_layout
from opzo.sim.benches import bench
from opzo.sim.benches.compare import assert_equal
from opzo.sim.benches.streams import StreamSink, StreamSource, pack
from opzo.sim.golden.windows import Windows
from opzo.spec.geometry import CELL_BITS, windows
from opzo.spec.layout import Layer
from opzo.spec.limits import Limits
from opzo.spec.network import Network

READ_CYCLES = 2
"""From a span to its run."""


class Ends:
    """Model of the memory of ends, behind the port ``ends`` of a unit."""

    def __init__(self, dut: Any, rng: Random, limits: Limits) -> None:
        self.dut = dut
        kind = rng.choice(list(ListKind)).value
        self.list = {"kind": kind, "layer": rng.randrange(limits.layers), "parity": rng.getrandbits(1)}
        dut.list.value = pack(window_list(limits), self.list)
        self.starts = np.zeros(1, np.int64)
        """First entry of each position, and the number of entries."""
        cocotb.start_soon(self._answer())

    async def _answer(self) -> None:
        dut = self.dut
        while True:
            await ReadOnly()
            en, bounds = bool(dut.ends__en.value), (int(dut.ends__begin.value), int(dut.ends__end.value))
            known = max(bounds) < len(self.starts)
            if en and known:
                for name, value in self.list.items():
                    assert int(getattr(dut, f"ends__{name}").value) == value
            await FallingEdge(dut.clk)
            if en and known:
                dut.ends__first.value, dut.ends__after.value = (int(self.starts[bound]) for bound in bounds)
                dut.ends__index.value = int(self.starts[bounds[0]])


class Spikes:
    """Random spikes of the map below a layer: ``neurons``, and the ``addresses`` and ``starts`` of their list."""

    def __init__(self, rng: Random, layer: Layer, density: float) -> None:
        below, seen = layer.shape.below, layer.shape.seen
        lit = [n for n in range(below.neurons) if rng.random() < density]
        self.neurons = np.array(lit, np.int64)
        position, channel = np.divmod(self.neurons, below.channels)
        place = position >> CELL_BITS if layer.shape.pool else position
        self.addresses = place * seen.channels + channel
        self.starts = np.searchsorted(place, np.arange(seen.positions + 1))
        self.windows = Windows(layer, self.neurons, below.channels)


class Reader:
    """The unit between spans and runs."""

    def __init__(self, dut: Any, rng: Random) -> None:
        self.dut, self.rng = dut, rng
        self.limits = limits = Limits(**bench.parameters()["limits"])
        self.spans = StreamSource(dut, dut.clk, "spans", rng, shape=span_layout(limits))
        self.runs = StreamSink(dut, dut.clk, "runs", rng, shape=run_layout(limits))
        self.ends = Ends(dut, rng, limits)

    def put(self, layer: Layer) -> int:
        """Queue the spans of all windows of a layer; their number."""
        bits = CELL_BITS if layer.shape.pool else 0
        count = 0
        for window in windows(layer.shape, layer.cells):
            for number, span in enumerate(window):
                values = {
                    "begin": span.begin >> bits,
                    "end": span.end >> bits,
                    "base": span.base % (1 << self.limits.row_bits),
                    "last": number == len(window) - 1,
                    "last_word": count % 2,
                    "final": 0,
                }
                self.last = self.spans.put(values)
                count += 1
        return count

    async def check(self, layer: Layer, density: float) -> None:
        """Random spikes below a layer; the runs have all entries of each window, and lead to their rows of weights."""
        spikes, count = Spikes(self.rng, layer, density), 0
        self.ends.starts = spikes.starts
        self.put(layer)
        for number in range(layer.positions):
            indices: list[int] = []
            rows: list[int] = []
            last = False
            while not last:
                run = await self.runs.receive()
                assert run["last_word"] == count % 2, f"run {count}"
                last = bool(run["last"])
                count += 1
                some = range(run["index"], run["index"] + run["count"])
                indices += some
                rows += [int(spikes.addresses[n] - run["base"]) % (1 << self.limits.row_bits) for n in some]
            what = f"position {number} of {layer.shape}"
            entries, expected = spikes.windows[number]
            assert_equal(indices, entries, what=f"entries of {what}", seed=bench.seed())
            assert_equal(rows, expected, what=f"rows of {what}", seed=bench.seed())


def layers() -> list[Layer]:
    """Convolutions of the networks."""
    found = []
    for text in bench.parameters()["networks"]:
        network = Network(text)
        found += [layer for layer in network.layout(network.limits(4)) if layer.convolution]
    return found


async def begin(dut: Any) -> Reader:
    reader = Reader(dut, Random(bench.seed()))
    await bench.start(dut)
    return reader


@cocotb.test(timeout_time=100, timeout_unit="ms")
async def matches_golden(dut: Any) -> None:
    reader = await begin(dut)
    for layer in layers():
        for density in (0, 0.1, 0.5, 1):
            reader.spans.stall, reader.runs.stall = (reader.rng.choice((0, 0.3, 0.8)) for _ in range(2))
            await reader.check(layer, density)


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def gives_a_run_a_cycle(dut: Any) -> None:
    reader = await begin(dut)
    layer = layers()[0]
    count = reader.put(layer)
    # The source drives from the next falling edge on.
    since = get_sim_time("ns")
    await reader.runs.receive_all(count)
    assert (get_sim_time("ns") - since) / 10 <= count + READ_CYCLES + 2


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def reset_forgets_the_spans(dut: Any) -> None:
    reader = await begin(dut)
    layer = layers()[0]
    for _ in range(20):
        reader.runs.stall = reader.rng.choice((0, 0.5))
        reader.put(layer)
        await reader.last.wait()
        for _ in range(reader.rng.randrange(5)):
            await FallingEdge(dut.clk)
        dut.rst.value = 1
        await FallingEdge(dut.clk)
        dut.rst.value = 0
        assert dut.runs__valid.value == 0
        reader.runs.clear()
        await reader.check(layer, 0.5)
