"""Testbench of the block walk."""

from random import Random
from typing import Any, NamedTuple

import cocotb
import numpy as np
from cocotb.triggers import FallingEdge, ReadOnly

from opzo.hw.registers import LAYER
from opzo.sim.benches import bench
from opzo.sim.benches.streams import pack, unpack
from opzo.spec.geometry import blocks
from opzo.spec.layers import BLOCKS, MAX_SIDE, POOL, Map


class Walk(NamedTuple):
    """A layer: its map, words of a position, whether a pool follows, side of a block."""

    map: Map
    words: int
    cells: bool
    block: int


def random_walk(rng: Random) -> Walk:
    """Walk of a small map of any shape."""
    cells = rng.random() < 0.5
    unit = POOL if cells else 1
    height, width = (unit * rng.randint(1, rng.choice((2, 13)) // unit) for _ in range(2))
    return Walk(Map(1, height, width), rng.choice((1, 1, rng.randint(1, 5))), cells, rng.choice(BLOCKS))


def corners() -> list[Walk]:
    """The longest and the widest map, one position, and a cell, with every block."""
    sides = ((1, MAX_SIDE), (MAX_SIDE, 2), (1, 1), (2, 2), (6, 4))
    return [
        Walk(Map(1, *side), 1, cells, block)
        for side in sides
        for cells in (False, True)
        for block in BLOCKS
        if not cells or side[0] % POOL == side[1] % POOL == 0
    ]


class Walker:
    """The unit, compared with the golden blocks word by word."""

    def __init__(self, dut: Any, rng: Random) -> None:
        self.dut, self.rng = dut, rng
        dut.start.value = dut.next.value = 0
        dut.layer.value = 0

    def set_layer(self, walk: Walk) -> None:
        """Show a layer to the unit; what it has nothing to do with is random."""
        layer = unpack(LAYER, self.rng.getrandbits(LAYER.size))
        layer |= {
            "height": walk.map.height,
            "width": walk.map.width,
            "words": walk.words,
            "cells": walk.cells,
            "block_shift": walk.block.bit_length() - 1,
            "block_row": -(-walk.map.width // walk.block) * walk.words,
        }
        self.dut.layer.value = pack(LAYER, layer)

    async def check(self, walk: Walk, stall: float, *, restart: bool) -> None:
        """Go through all words of a layer, or some; the start of the next layer may come with the last ``next``."""
        dut, rng = self.dut, self.rng
        self.set_layer(walk)
        of_position = blocks(walk.map, walk.cells, walk.block)
        first = set(np.unique(of_position, return_index=True)[1].tolist())
        for position, block in enumerate(of_position.tolist()):
            for word in range(walk.words):
                while True:
                    await ReadOnly()
                    where = f"seed {bench.seed()}, {walk}, position {position}, word {word}"
                    assert int(dut.word.value) == block * walk.words + word, where
                    assert dut.begins.value == (position in first), where
                    assert dut.ends_position.value == (word == walk.words - 1), where
                    await FallingEdge(dut.clk)
                    if rng.random() >= stall:
                        break
                last = position == len(of_position) - 1 and word == walk.words - 1
                dut.next.value, dut.start.value = not (last and restart), last
                await FallingEdge(dut.clk)
                dut.next.value = dut.start.value = 0


async def begin(dut: Any) -> Walker:
    walker = Walker(dut, Random(bench.seed()))
    await bench.start(dut)
    return walker


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def matches_golden(dut: Any) -> None:
    walker = await begin(dut)
    rng = walker.rng
    for walk in corners():
        await walker.check(walk, 0, restart=False)
    for _ in range(100):
        await walker.check(random_walk(rng), rng.choice((0, 0.5)), restart=rng.random() < 0.5)


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def start_leaves_the_walk(dut: Any) -> None:
    walker = await begin(dut)
    rng = walker.rng
    for number in range(60):
        walker.set_layer(random_walk(rng))
        for _ in range(rng.randrange(30)):
            dut.next.value = rng.getrandbits(1)
            await FallingEdge(dut.clk)
        # A reset does the same.
        strobe = dut.rst if number % 2 else dut.start
        dut.next.value, strobe.value = rng.getrandbits(1), 1
        await FallingEdge(dut.clk)
        dut.next.value = strobe.value = 0
        await walker.check(random_walk(rng), 0, restart=False)
