"""Testbench of the scan of a map."""

from random import Random
from typing import Any

import cocotb
from cocotb.triggers import FallingEdge, ReadOnly

from opzo.hw.input.map_scan import scan_layout, scanned_layout
from opzo.sim.benches import bench
from opzo.sim.benches.streams import pack, unpack
from opzo.spec.geometry import CELL, CELL_BITS


def random_map(rng: Random, rows: int) -> dict[str, int]:
    """A map of at most ``rows`` rows: all fields of scan_layout."""
    cells = rng.random() < 0.6
    unit = CELL if cells else 1
    stride = rng.choice((1, rng.randint(1, 5), rng.randint(1, rows // unit)))
    positions = unit * rng.randint(1, rows // stride // unit)
    return {
        "is_map": 1,
        "channels": rng.choice((stride, rng.randint(1, stride))),
        "stride": stride,
        "positions": positions,
        "cells": cells,
        "by_parts": cells and rng.random() < 0.5,
    }


def scanned(map: dict[str, int]) -> list[dict[str, int]]:
    """Neurons of a scan in order: all fields of scanned_layout, those that mean nothing left out."""
    order: list[tuple[int | None, int]] = [(None, position) for position in range(map["positions"])]
    if map["by_parts"]:
        order = [(part, position) for part in range(CELL) for position in range(part, map["positions"], CELL)]
    neurons = []
    for part, position in order:
        place = position >> CELL_BITS if map["cells"] else position
        for channel in range(map["channels"]):
            last = channel == map["channels"] - 1
            neuron = {
                "row": position * map["stride"] + channel,
                "ends": int(last and part is None),
                "ends_part": int(last and part is not None and position + CELL >= map["positions"]),
            }
            neurons.append(neuron | ({"place": place} if part is None else {"part": part}))
    return neurons


class Scan:
    """The unit."""

    def __init__(self, dut: Any, rng: Random) -> None:
        p = bench.parameters()
        self.dut, self.rng, self.rows = dut, rng, 1 << p["bits"]
        self.layout = scanned_layout(p["bits"])
        dut.start.value = dut.map.value = 0

    async def check(self, map: dict[str, int], *, again: bool = False, count: int | None = None) -> None:
        """Scan a map; ``again``: start the same scan in the cycle of the last neuron; ``count``: leave it then."""
        dut, where = self.dut, f"seed {bench.seed()}, {map}"
        dut.map.value, dut.start.value = pack(scan_layout(), map), 1
        await FallingEdge(dut.clk)
        dut.start.value = 0
        for repeat in reversed(range(1 + again)):
            neurons = scanned(map)
            for number, neuron in enumerate(neurons[:count]):
                await ReadOnly()
                got = unpack(self.layout, int(dut.neuron.value))
                last = number == len(neurons) - 1
                assert dut.valid.value == 1, f"{where}, neuron {number}"
                assert {name: got[name] for name in neuron} == neuron, f"{where}, neuron {number}"
                assert dut.last.value == last, f"{where}, neuron {number}"
                await FallingEdge(dut.clk)
                dut.start.value = number == len(neurons) - 2 and repeat
        if count is None:
            await self.rest()

    async def rest(self) -> None:
        """No neuron without a scan."""
        for _ in range(3):
            assert self.dut.valid.value == 0
            await FallingEdge(self.dut.clk)


async def begin(dut: Any) -> Scan:
    scan = Scan(dut, Random(bench.seed()))
    await bench.start(dut)
    return scan


@cocotb.test(timeout_time=100, timeout_unit="ms")
async def matches_golden(dut: Any) -> None:
    scan = await begin(dut)
    rng = scan.rng
    await scan.rest()
    for cells, by_parts in ((0, 0), (1, 0), (1, 1)):
        for channels, stride, positions in ((1, 1, CELL), (3, 4, CELL), (1, 1, scan.rows), (4, 4, scan.rows // 4)):
            map = {"is_map": 1, "channels": channels, "stride": stride, "positions": positions}
            await scan.check(map | {"cells": cells, "by_parts": by_parts})
    for _ in range(100):
        map = random_map(rng, scan.rows)
        await scan.check(map, again=rng.random() < 0.5 and len(scanned(map)) > 1)


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def reset_ends_the_scan(dut: Any) -> None:
    scan = await begin(dut)
    rng = scan.rng
    for _ in range(30):
        map = random_map(rng, scan.rows)
        await scan.check(map, count=rng.randrange(len(scanned(map))))
        dut.rst.value = 1
        await FallingEdge(dut.clk)
        dut.rst.value = 0
        await scan.rest()
        await scan.check(random_map(rng, scan.rows))
