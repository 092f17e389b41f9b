"""Testbench of the window scan."""

from random import Random
from typing import Any

import cocotb
from cocotb.triggers import FallingEdge
from cocotb.utils import get_sim_time

from opzo.hw.schedule.window_rows import window_row_layout
from opzo.hw.schedule.window_walk import walk_layout
from opzo.sim.benches import bench
from opzo.sim.benches.compare import assert_equal
from opzo.sim.benches.schedule.run_reader import Ends, Spikes, layers
from opzo.sim.benches.streams import StreamSink, StreamSource
from opzo.spec.layout import Layer
from opzo.spec.limits import Limits

FILL_CYCLES = 24
"""From a layer to its first row, at most."""


class Scan:
    """The unit, with a model of the memory of ends."""

    def __init__(self, dut: Any, rng: Random) -> None:
        self.dut, self.rng = dut, rng
        self.limits = limits = Limits(**bench.parameters()["limits"])
        self.layers = StreamSource(dut, dut.clk, "layer", rng, shape=walk_layout())
        self.rows = StreamSink(dut, dut.clk, "rows", rng, shape=window_row_layout(limits))
        self.ends = Ends(dut, rng, limits)

    def put(self, layer: Layer) -> Any:
        """Queue a layer."""
        return self.layers.put(
            {
                "kernel": layer.shape.kernel,
                "height": layer.shape.map.height,
                "width": layer.shape.map.width,
                "channels": layer.shape.seen.channels,
                "words": layer.words,
                "cells": layer.cells,
            }
        )

    async def check(self, layer: Layer, density: float) -> int:
        """Scan the list of random spikes and compare; cycles of the cost model."""
        spikes, cycles = Spikes(self.rng, layer, density), 0
        modulus = 1 << self.limits.row_bits
        self.ends.starts = spikes.starts
        self.put(layer)
        for position in range(layer.positions):
            entries, weights = spikes.windows[position]
            for word in range(layer.words):
                what = f"position {position}, word {word} of {layer.shape}"
                rows = await self.rows.receive_all(len(entries) + 1)
                *listed, bias = rows
                found = [int(spikes.addresses[row["index"]] - row["base"]) % modulus for row in listed]
                assert_equal([row["index"] for row in listed], entries, what=f"entries of {what}", seed=bench.seed())
                assert_equal(found, weights, what=f"rows of {what}", seed=bench.seed())
                assert [row["first"] for row in rows] == [1] + [0] * len(listed), what
                assert [row["bias"] for row in rows] == [0] * len(listed) + [1], what
                last_word = int(word == layer.words - 1)
                for row in rows:
                    assert row["last_word"] == last_word, what
                    assert row["final"] == (row is bias and last_word and position == layer.positions - 1), what
                cycles += len(rows) + spikes.windows.spans(position)
        return cycles


async def begin(dut: Any) -> Scan:
    scan = Scan(dut, Random(bench.seed()))
    await bench.start(dut)
    return scan


@cocotb.test(timeout_time=100, timeout_unit="ms")
async def matches_golden(dut: Any) -> None:
    scan = await begin(dut)
    for layer in layers():
        for density in (0, 0.1, 1):
            scan.rows.stall = scan.rng.choice((0, 0.3))
            await scan.check(layer, density)


@cocotb.test(timeout_time=100, timeout_unit="ms")
async def is_as_fast_as_the_cost_model(dut: Any) -> None:
    scan = await begin(dut)
    for layer in layers():
        for density in (0, 0.03, 0.3):
            since = get_sim_time("ns")
            cycles = await scan.check(layer, density)
            assert (get_sim_time("ns") - since) / 10 <= cycles + FILL_CYCLES, layer.shape


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def reset_forgets_the_scan(dut: Any) -> None:
    scan = await begin(dut)
    layer = layers()[0]
    for _ in range(20):
        scan.rows.stall = scan.rng.choice((0, 0.5))
        await scan.put(layer).wait()
        for _ in range(scan.rng.randrange(60)):
            await FallingEdge(dut.clk)
        dut.rst.value = 1
        await FallingEdge(dut.clk)
        dut.rst.value = 0
        assert dut.rows__valid.value == 0
        scan.rows.clear()
        await scan.check(layer, 0.3)
