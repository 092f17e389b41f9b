"""Testbench of the lists of groups of lanes."""

from random import Random
from typing import Any

import cocotb
from amaranth.lib import data
from cocotb.triggers import FallingEdge

from opzo.hw.input.list_counts import strobe_layout
from opzo.hw.input.scanner import group_lanes, group_layout, groups_of_word
from opzo.sim.benches import bench
from opzo.sim.benches.streams import pack
from opzo.spec.limits import Limits

Group = tuple[int, int]
"""Entry of the first lane, spikes."""


class Lists:
    """The unit, and what its lists should hold."""

    def __init__(self, dut: Any, rng: Random) -> None:
        p = bench.parameters()
        self.dut, self.rng, self.words = dut, rng, p["layers"]
        self.limits = limits = Limits(**p["limits"])
        self.lanes, self.groups = group_lanes(limits), groups_of_word(limits)
        bases = [sum(self.words[:layer]) for layer in range(len(self.words))]
        dut.word_base.value = pack(data.ArrayLayout(limits.word_bits, limits.layers), bases)
        for name in ("group", "empty", "clear", "layer", "parity", "next", "seek", "index"):
            getattr(dut, name).value = 0
        self.forget()

    def forget(self) -> None:
        """All lists are empty."""
        self.lists: dict[tuple[int, int], list[Group]] = {
            (layer, parity): [] for layer in range(len(self.words)) for parity in range(2)
        }

    async def empty(self, layer: int, parity: int) -> None:
        """Empty a list."""
        self.dut.empty.value = pack(strobe_layout(self.limits), {"valid": 1, "layer": layer, "parity": parity})
        await FallingEdge(self.dut.clk)
        self.dut.empty.value = 0
        self.lists[layer, parity] = []

    async def append(self, layer: int, parity: int) -> None:
        """A group, if there is room, at times a cycle later."""
        rng, dut, groups = self.rng, self.dut, self.lists[layer, parity]
        if len(groups) == self.words[layer] * self.groups:
            return
        while rng.random() < 0.2:
            await FallingEdge(dut.clk)
        spikes = rng.choice((1, 1 << (self.lanes - 1), (1 << self.lanes) - 1, rng.randrange(1, 1 << self.lanes)))
        group = {"valid": 1, "layer": layer, "parity": parity, "entry": rng.getrandbits(len(dut.row)), "spikes": spikes}
        dut.group.value = pack(group_layout(self.limits), group)
        await FallingEdge(dut.clk)
        dut.group.value = 0
        groups.append((group["entry"], spikes))

    async def read(self, layer: int, parity: int) -> None:
        """Read from a random group on, with gaps; what is asked for between two readings of a list means nothing."""
        rng, dut, groups = self.rng, self.dut, self.lists[layer, parity]
        if not groups:
            return
        begin = rng.choice((0, rng.randrange(len(groups))))
        spikes = [(entry, lane) for entry, bits in groups[begin:] for lane in range(self.lanes) if bits >> lane & 1]
        dut.layer.value, dut.parity.value = layer, parity
        stall = rng.choice((0, 0.4))
        for number, (entry, lane) in enumerate(spikes[: rng.randint(1, len(spikes))]):
            while rng.random() < stall:
                dut.next.value, dut.index.value = 0, rng.getrandbits(len(dut.index))
                # Before the first spike of a part, anything may be sought.
                dut.seek.value = rng.getrandbits(1) if number == 0 else 0
                await FallingEdge(dut.clk)
            dut.next.value, dut.seek.value = 1, number == 0
            dut.index.value = begin if number == 0 else rng.getrandbits(len(dut.index))
            await FallingEdge(dut.clk)
            got = int(dut.row.value), int(dut.lane.value)
            assert got == (entry, 1 << lane), (
                f"seed {bench.seed()}, list {layer}, {parity} from {begin}, spike {number}"
            )
        dut.next.value = dut.seek.value = 0
        if rng.random() < 0.5:
            # The bias is no entry of the list.
            dut.next.value = 1
            await FallingEdge(dut.clk)
            dut.next.value = 0


@cocotb.test(timeout_time=100, timeout_unit="ms")
async def gives_spike_after_spike(dut: Any) -> None:
    rng = Random(bench.seed())
    lists = Lists(dut, rng)
    await bench.start(dut)
    for turn in range(150):
        layer, parity = rng.randrange(len(lists.words)), rng.getrandbits(1)
        await lists.empty(layer, parity)
        for _ in range(rng.choice((1, 3, lists.words[layer] * lists.groups))):
            await lists.append(layer, parity)
        await FallingEdge(dut.clk)
        for _ in range(4):
            await lists.read(rng.randrange(len(lists.words)), rng.getrandbits(1))
        if turn % 20 == 19:
            dut.clear.value = 1
            await FallingEdge(dut.clk)
            dut.clear.value = 0
            lists.forget()
