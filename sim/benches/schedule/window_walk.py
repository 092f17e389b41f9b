"""Testbench of the window walk."""

from random import Random
from typing import Any

import cocotb
from cocotb.triggers import FallingEdge
from cocotb.utils import get_sim_time

from opzo.hw.schedule.window_walk import span_layout, walk_layout
from opzo.sim.benches import bench
from opzo.sim.benches.streams import StreamSink, StreamSource
from opzo.spec import geometry
from opzo.spec.layers import KERNELS, MAX_CHANNELS, MAX_SIDE, POOL, LayerShape, Map
from opzo.spec.limits import Limits
from opzo.spec.network import Network

Walk = tuple[LayerShape, int, bool]
"""Layer, words of a position, whether a pool follows."""
PREPARE_CYCLES = 16
"""From a layer to its first span, at most."""


def network_walks(network: Network, lanes: int) -> list[Walk]:
    """Walks of the convolutions of a network."""
    layers = network.layout(network.limits(lanes))
    return [(layer.shape, layer.words, layer.cells) for layer in layers if layer.convolution]


def random_walk(rng: Random) -> Walk:
    """Walk of a small map of any shape."""
    pool, cells = rng.random() < 0.5, rng.random() < 0.5
    unit = POOL if cells else 1
    height, width = (unit * rng.randint(1, rng.choice((2, 9)) // unit) for _ in range(2))
    channels = rng.choice((1, rng.randint(1, 20), MAX_CHANNELS))
    below = Map(channels, height * POOL, width * POOL) if pool else Map(channels, height, width)
    shape = LayerShape(below, Map(rng.randint(1, 20), height, width), rng.choice(KERNELS), pool)
    return shape, rng.randint(1, 3), cells


def corners() -> list[Walk]:
    """The longest and the widest map, one position, and a cell; every kernel."""
    maps = [Map(1, *sides) for sides in ((1, MAX_SIDE), (MAX_SIDE, 2), (1, 1), (2, 2), (2, 3), (3, 1), (6, 4))]
    return [
        (LayerShape(map, map, kernel), 1, cells)
        for map in maps
        for kernel in KERNELS
        for cells in (False, True)
        if not cells or map.height % POOL == map.width % POOL == 0
    ]


class Walker:
    """The unit, driven with the layers of walks and compared with their golden spans."""

    def __init__(self, dut: Any, rng: Random) -> None:
        self.dut = dut
        self.limits = Limits(lanes=4, rows=1, inputs=1, words=1, classes=2)
        self.layers = StreamSource(dut, dut.clk, "layer", rng, shape=walk_layout())
        self.spans = StreamSink(dut, dut.clk, "span", rng, shape=span_layout(self.limits))

    def put(self, walk: Walk) -> None:
        """Queue a walk."""
        shape, words, cells = walk
        self.last = self.layers.put(
            {
                "kernel": shape.kernel,
                "height": shape.map.height,
                "width": shape.map.width,
                "channels": shape.seen.channels,
                "words": words,
                "cells": cells,
            }
        )

    def expected(self, walk: Walk) -> list[dict[str, int]]:
        """Spans of a walk."""
        shape, words, cells = walk
        bits = geometry.CELL_BITS if shape.pool else 0
        windows = geometry.windows(shape, cells)
        spans = []
        for position, window in enumerate(windows):
            for word in range(words):
                last_word = word == words - 1
                for number, span in enumerate(window):
                    last = number == len(window) - 1
                    spans.append(
                        {
                            "begin": span.begin >> bits,
                            "end": span.end >> bits,
                            "base": span.base % (1 << self.limits.row_bits),
                            "last": int(last),
                            "last_word": int(last_word),
                            "final": int(last and last_word and position == len(windows) - 1),
                        }
                    )
        return spans

    async def check(self, walks: list[Walk]) -> None:
        """Walk and compare; the layers follow each other without a pause."""
        for walk in walks:
            self.put(walk)
        for walk in walks:
            for number, span in enumerate(self.expected(walk)):
                got = await self.spans.receive()
                assert got == span, f"seed {bench.seed()}, {walk}, span {number}: {got}, expected {span}"


async def begin(dut: Any) -> tuple[Walker, Random]:
    rng = Random(bench.seed())
    walker = Walker(dut, rng)
    await bench.start(dut)
    return walker, rng


@cocotb.test(timeout_time=100, timeout_unit="ms")
async def matches_golden(dut: Any) -> None:
    walker, rng = await begin(dut)
    walks = corners()
    for text, lanes in bench.parameters()["networks"]:
        walks += network_walks(Network(text), lanes)
    await walker.check(walks)
    for _ in range(60):
        walker.spans.stall, walker.layers.stall = rng.choice((0, 0.3, 0.9)), rng.choice((0, 0.5))
        await walker.check([random_walk(rng) for _ in range(rng.randint(1, 4))])


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def gives_a_span_a_cycle(dut: Any) -> None:
    walker, rng = await begin(dut)
    for _ in range(60):
        walk = random_walk(rng)
        walker.put(walk)
        await walker.last.wait()
        start, count = get_sim_time("ns"), len(walker.expected(walk))
        await walker.spans.receive_all(count)
        assert (get_sim_time("ns") - start) / 10 <= count + PREPARE_CYCLES, walk


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def reset_forgets_the_walk(dut: Any) -> None:
    walker, rng = await begin(dut)
    for _ in range(100):
        walker.spans.stall = rng.choice((0, 0.5))
        walker.put(random_walk(rng))
        await walker.last.wait()
        for _ in range(rng.randrange(40)):
            await FallingEdge(dut.clk)
        dut.rst.value = 1
        await FallingEdge(dut.clk)
        dut.rst.value = 0
        await FallingEdge(dut.clk)
        walker.spans.clear()
        assert dut.span__valid.value == 0
        await walker.check([random_walk(rng)])
