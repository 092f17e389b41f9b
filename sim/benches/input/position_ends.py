"""Testbench of the ends of positions."""

from random import Random
from typing import Any, NamedTuple

import cocotb
import numpy as np
from cocotb.triggers import FallingEdge

from opzo.hw.input.position_ends import WRITE_CYCLES, PositionEnds
from opzo.hw.input.scanner import fired_layout, group_lanes, groups_of_word
from opzo.sim.benches import bench
from opzo.sim.benches.compare import assert_equal
from opzo.sim.benches.streams import pack
from opzo.spec.geometry import CELL, CELL_BITS
from opzo.spec.limits import Limits


class Map(NamedTuple):
    """Map of a layer."""

    positions: int
    words: int
    cells: bool

    @property
    def places(self) -> int:
        """Positions, or cells where a pool follows."""
        return self.positions // CELL if self.cells else self.positions


class Device:
    """The unit, and the spikes of its lists."""

    def __init__(self, dut: Any, rng: Random) -> None:
        self.dut, self.rng = dut, rng
        self.limits = limits = Limits(**bench.parameters()["limits"])
        signature = PositionEnds(limits).signature
        self.layouts = {name: signature.members[name].shape for name in ("fired", "place_base", "maps")}
        dut.fired.value = 0
        dut.span__en.value = 0
        self.spikes: dict[tuple[int, int], np.ndarray] = {}

    def set_maps(self) -> None:
        """Random maps that fill the device at most."""
        rng, left, places = self.rng, self.limits.words, self.limits.stored_places
        self.maps: list[Map] = []
        for layer in range(self.limits.layers):
            above = self.limits.layers - 1 - layer
            most = left - above
            words, cells = rng.randint(1, min(3, most)), rng.random() < 0.5 and most >= CELL
            words = 1 if cells and most < CELL * words else words
            unit = CELL if cells else 1
            positions = unit * rng.randint(1, min(most // words // unit, places - above))
            self.maps.append(Map(positions, words, cells))
            left -= positions * words
            places -= self.maps[-1].places
        bases = np.cumsum([0] + [map.places for map in self.maps])[:-1]
        self.dut.place_base.value = pack(self.layouts["place_base"], bases.tolist())
        maps = [{"words": map.words, "channels": 0, "cells": map.cells} for map in self.maps]
        self.dut.maps.value = pack(self.layouts["maps"], maps)
        self.spikes = {}

    async def idle(self) -> None:
        """A cycle without a word; all but ``valid`` is random."""
        self.dut.fired.value = self.rng.getrandbits(len(self.dut.fired) - 1) << 1
        await FallingEdge(self.dut.clk)

    async def fire(self, layer: int, step: int, stall: float) -> None:
        """Words of a layer and step."""
        map, lanes, rng = self.maps[layer], self.limits.lanes, self.rng
        density = rng.choice((0, 0.1, 0.5, 1))
        spikes = np.array([[rng.random() < density for _ in range(lanes)] for _ in range(map.positions * map.words)])
        self.spikes[layer, step % 2] = spikes
        for word, flags in enumerate(spikes):
            while rng.random() < stall:
                await self.idle()
            fired = {
                "layer": layer,
                "parity": step % 2,
                "step": step,
                "word": word,
                "spikes": sum(1 << int(n) for n in np.flatnonzero(flags)),
                "last": word == len(spikes) - 1,
            }
            self.dut.fired.value = pack(self.layouts["fired"], {"valid": 1, "word": fired})
            await FallingEdge(self.dut.clk)

    async def check(self) -> None:
        """Read spans of all lists."""
        dut, rng = self.dut, self.rng
        for _ in range(WRITE_CYCLES - 1):
            await self.idle()
        for (layer, parity), spikes in self.spikes.items():
            map = self.maps[layer]
            positions = np.flatnonzero(spikes.reshape(-1)) // (map.words * self.limits.lanes)
            numbers = positions >> CELL_BITS if map.cells else positions
            # Places of the groups of lanes with spikes.
            lit = np.flatnonzero(spikes.reshape(len(spikes), -1, group_lanes(self.limits)).any(axis=2).reshape(-1))
            groups = lit // (map.words * groups_of_word(self.limits)) >> (CELL_BITS if map.cells else 0)
            count = map.places
            spans = [(0, count), (0, 1), (count - 1, count)]
            for _ in range(10):
                begin = rng.randrange(count)
                spans.append((begin, rng.randint(begin + 1, count)))
            for begin, end in spans:
                dut.span__layer.value, dut.span__parity.value, dut.span__en.value = layer, parity, 1
                dut.span__begin.value, dut.span__end.value = begin, end
                await self.idle()
                dut.span__en.value = 0
                for _ in range(rng.choice((1, 1, 3))):
                    # The answer stays, whatever is asked without ``en``.
                    got = (int(dut.span__first.value), int(dut.span__after.value))
                    expected = np.searchsorted(numbers, (begin, end))
                    what = f"span {begin}..{end} of {map}, layer {layer}, parity {parity}"
                    assert_equal(got, expected, what=what, seed=bench.seed())
                    index = int(np.searchsorted(groups, begin))
                    assert_equal(int(dut.span__index.value), index, what=f"index of {what}", seed=bench.seed())
                    dut.span__begin.value, dut.span__end.value = rng.randrange(count), rng.randrange(count)
                    await self.idle()


async def begin(dut: Any) -> Device:
    device = Device(dut, Random(bench.seed()))
    await bench.start(dut)
    return device


@cocotb.test(timeout_time=100, timeout_unit="ms")
async def matches_golden(dut: Any) -> None:
    device = await begin(dut)
    rng = device.rng
    assert len(dut.fired) == fired_layout(device.limits).size + 1
    for _ in range(60):
        device.set_maps()
        for step in range(rng.randint(1, 4)):
            stall = rng.choice((0, 0.5))
            for layer in range(len(device.maps)):
                await device.fire(layer, step, stall)
            if rng.random() < 0.5:
                await device.check()
        await device.check()


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def reset_forgets_the_place(dut: Any) -> None:
    device = await begin(dut)
    for _ in range(40):
        device.set_maps()
        task = cocotb.start_soon(device.fire(0, 0, 0))
        for _ in range(device.rng.randrange(20)):
            await FallingEdge(dut.clk)
        task.cancel()
        dut.fired.value = 0
        dut.rst.value = 1
        await FallingEdge(dut.clk)
        dut.rst.value = 0
        device.spikes = {}
        await device.fire(0, 1, 0)
        await device.check()
