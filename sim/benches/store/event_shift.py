"""Testbench of the shift of an image: events of random runs, moved and dropped."""

from random import Random
from typing import Any

import cocotb
import numpy as np
from cocotb.triggers import FallingEdge
from cocotb.utils import get_sim_time

from opzo.hw.interface import EVENT
from opzo.hw.store.event_shift import MOVE
from opzo.sim.benches import bench
from opzo.sim.benches.compare import assert_equal
from opzo.sim.benches.core_port import chunk_of
from opzo.sim.benches.stimuli import DENSITIES
from opzo.sim.benches.streams import StreamSink, StreamSource, pack
from opzo.sim.golden.store import moved
from opzo.spec.events import Chunk
from opzo.spec.shuffle import MAX_SHIFT

RUNS = 150
LARGE = (1 << 16) - 1


def shapes(rng: Random, inputs: int) -> list[tuple[int, int, int]]:
    """Height, row and pixel of images: those of maps, and such as no image has."""
    channels = rng.choice((1, 1, 2, 3))
    row = channels * rng.randint(1, 12)
    maps = (max(1, inputs // row), row, channels)
    return [maps, maps, (rng.choice((0, 1, 3, LARGE)), rng.choice((0, 1, inputs, LARGE)), rng.choice((0, 1, LARGE)))]


class Driver:
    """Send runs, and compare what comes out."""

    def __init__(self, dut: Any) -> None:
        self.dut, self.rng = dut, Random(bench.seed())
        self.limit: int = bench.parameters()["inputs"]
        self.source = StreamSource(dut, dut.clk, "i", self.rng, shape=EVENT)
        self.sink = StreamSink(dut, dut.clk, "o", self.rng, shape=EVENT)
        dut.restart.value = 0

    async def run(self, chunk: Chunk, move: dict[str, int], inputs: int) -> None:
        """One run, whose inputs are checked already."""
        dut = self.dut
        dut.move.value, dut.inputs.value, dut.restart.value = pack(MOVE, move), inputs, 1
        await FallingEdge(dut.clk)
        dut.restart.value = 0
        await FallingEdge(dut.clk)
        items: list[dict[str, int]] = []
        values = list(zip(chunk.addresses.tolist(), chunk.values.tolist(), strict=True))
        begin = 0
        for end in chunk.ends.tolist():
            items += [{"address": address, "value": value, "ends": 0} for address, value in values[begin:end]]
            items.append({"address": 0, "value": 0, "ends": 1})
            begin = end
        items += [{"address": address, "value": value, "ends": 0} for address, value in values[begin:]]
        await self.source.send_all(items)
        while dut.busy.value:
            await FallingEdge(dut.clk)
        await FallingEdge(dut.clk)
        found = chunk_of(await self.sink.receive_all(len(self.sink)))
        expected = moved(chunk, [move["down"], move["right"]], move, inputs)
        for name in ("addresses", "values", "ends"):
            what = f"{name} of {inputs} inputs, {move}"
            assert_equal(getattr(found, name), getattr(expected, name), what=what, seed=bench.seed())


@cocotb.test(timeout_time=50, timeout_unit="ms")
async def matches_golden(dut: Any) -> None:
    driver = Driver(dut)
    rng, numbers = driver.rng, np.random.default_rng(bench.seed())
    await bench.start(dut)
    for _ in range(RUNS):
        inputs = rng.choice((driver.limit, driver.limit, rng.randint(1, driver.limit)))
        steps = rng.choice((0, 1, 3))
        lists = [np.flatnonzero(numbers.random(inputs) < rng.choice(DENSITIES)) for _ in range(max(1, steps))]
        values = [numbers.integers(1, 256, len(each)) for each in lists]
        chunk = Chunk.of_steps(lists, values)
        if not steps:
            chunk = Chunk(chunk.addresses, chunk.values)
        for height, row, pixel in shapes(rng, driver.limit):
            driver.source.stall, driver.sink.stall = (rng.choice((0.0, 0.0, 0.5)) for _ in range(2))
            move = {"height": height, "row": row, "pixel": pixel}
            move |= {way: rng.randint(-MAX_SHIFT, MAX_SHIFT) for way in ("down", "right")}
            await driver.run(chunk, move, inputs)


@cocotb.test(timeout_time=5, timeout_unit="ms")
async def is_as_fast_as_the_decoder(dut: Any) -> None:
    """An event takes 3 cycles, as a pair, and one more for each row."""
    driver = Driver(dut)
    await bench.start(dut)
    inputs = driver.limit
    row = 10
    chunk = Chunk(np.arange(inputs), np.ones(inputs, np.int64))
    begin = get_sim_time("ns")
    move = {"height": inputs // row, "row": row, "pixel": 1, "down": 0, "right": 1}
    await driver.run(chunk, move, inputs)
    assert (get_sim_time("ns") - begin) / 10 < 3 * inputs + inputs // row + 20
