"""Testbench of the ends of positions in the events of a step."""

from random import Random
from typing import Any

import cocotb
import numpy as np
from cocotb.triggers import FallingEdge, ReadOnly

from opzo.hw.input.event_ends import step_events
from opzo.hw.input.window_ends import ends_write
from opzo.sim.benches import bench
from opzo.sim.benches.compare import assert_equal
from opzo.sim.benches.streams import pack, unpack
from opzo.spec.formats import HISTORY_STEPS
from opzo.spec.limits import Limits


class Device:
    """The unit, and the event buffer that it reads."""

    def __init__(self, dut: Any, rng: Random) -> None:
        self.dut, self.rng = dut, rng
        self.limits = limits = Limits(**bench.parameters()["limits"])
        self.layout, self.write = step_events(limits), ends_write(limits)
        self.addresses = self.values = np.zeros(limits.events, np.int64)
        for name in ("start", "channels", "positions", "events__address", "events__value"):
            getattr(dut, name).value = 0
        cocotb.start_soon(self._read())

    async def _read(self) -> None:
        """The events one cycle after they are asked for."""
        dut = self.dut
        while True:
            await ReadOnly()
            index = int(dut.events__index.value) % len(self.addresses)
            await FallingEdge(dut.clk)
            dut.events__address.value = int(self.addresses[index])
            dut.events__value.value = int(self.values[index])

    async def check(self, channels: int, positions: int, begin: int, addresses: list[int], cycles: int = -1) -> None:
        """Pass ascending addresses, from event ``begin`` on; leave after ``cycles``, if that is not negative."""
        dut, rng, end = self.dut, self.rng, begin + len(addresses)
        # Events of other steps lie around them.
        self.addresses = np.array([rng.randrange(channels * positions) for _ in range(self.limits.events)])
        self.addresses[begin:end] = addresses
        self.values = np.array([rng.randrange(1 << len(dut.value)) for _ in self.addresses])
        dut.channels.value, dut.positions.value = channels, positions
        step = {"valid": 1, "begin": begin, "end": end, "step": rng.randrange(HISTORY_STEPS)}
        dut.start.value = pack(self.layout, step)
        await FallingEdge(dut.clk)
        dut.start.value = pack(self.layout, step | {"valid": 0, "begin": 0, "end": 0})
        passed: list[tuple[int, int]] = []
        ends: dict[int, int] = {}
        count = 0
        while dut.busy.value and count != cycles:
            await ReadOnly()
            count += 1
            if dut.counted.value:
                passed.append((int(dut.address.value), int(dut.value.value)))
            write = unpack(self.write, int(dut.write.value))
            if write["en"]:
                assert write["place"] == len(ends)
                ends[write["place"]] = write["count"]
            assert count <= len(addresses) + positions + 2, f"seed {bench.seed()}: more cycles than events, positions"
            await FallingEdge(dut.clk)
        if count == cycles:
            return
        given = list(zip(addresses, self.values[begin:end].tolist(), strict=True))
        assert_equal(passed, given, what="events passed", seed=bench.seed())
        expected = np.searchsorted(addresses, np.arange(1, positions + 1) * channels)
        assert_equal([ends[position] for position in range(positions)], expected, what="ends", seed=bench.seed())
        for _ in range(3):
            assert not dut.counted.value
            assert not unpack(self.write, int(dut.write.value))["en"]
            await FallingEdge(dut.clk)

    def random_events(self) -> tuple[int, int, int, list[int]]:
        """Map of some size, first event, and addresses; some come twice."""
        rng, inputs = self.rng, self.limits.inputs
        channels = rng.choice((1, 2, rng.randint(1, inputs)))
        positions = rng.randint(1, inputs // channels)
        places = range(channels * positions)
        density = rng.choice((0, 0.1, 0.5, 1))
        addresses = [place for place in places if rng.random() < density]
        if rng.random() < 0.3:
            addresses = sorted(rng.choice(places) for _ in addresses)
        return channels, positions, rng.randint(0, self.limits.events - len(addresses)), addresses


async def start(dut: Any) -> Device:
    device = Device(dut, Random(bench.seed()))
    await bench.start(dut)
    return device


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def matches_golden(dut: Any) -> None:
    device = await start(dut)
    inputs = device.limits.inputs
    for channels, positions in ((1, 1), (1, inputs), (inputs, 1), (4, inputs // 4)):
        places = list(range(channels * positions))
        for addresses in ([], places, [0], [places[-1]], [0] * 4):
            await device.check(channels, positions, 0, addresses)
    for _ in range(100):
        await device.check(*device.random_events())


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def reset_ends_the_walk(dut: Any) -> None:
    device = await start(dut)
    for _ in range(40):
        await device.check(*device.random_events(), cycles=device.rng.randrange(30))
        dut.rst.value = 1
        await FallingEdge(dut.clk)
        dut.rst.value = 0
        await FallingEdge(dut.clk)
        assert dut.busy.value == 0
        await device.check(*device.random_events())
