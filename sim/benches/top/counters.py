"""Testbench of the statistics counters."""

from random import Random
from typing import Any

import cocotb
from cocotb.triggers import FallingEdge

from opzo.hw.counters import INCREMENT_BITS, INDEX_BITS, SETTLE_CYCLES
from opzo.sim.benches import bench
from opzo.sim.golden.counters import Counters
from opzo.spec.registers import Counter

MOST = (1 << INCREMENT_BITS) - 1


class Driver:
    """The unit and its model."""

    def __init__(self, dut: Any) -> None:
        self.dut, self.model = dut, Counters()
        for name in ("increment", "clear", "index", "half"):
            getattr(dut, name).value = 0

    async def count(self, amounts: list[int], clear: bool = False) -> None:
        """Drive one clock cycle."""
        self.dut.increment.value = sum(amount << INCREMENT_BITS * n for n, amount in enumerate(amounts))
        self.dut.clear.value = clear
        await FallingEdge(self.dut.clk)
        self.dut.increment.value = self.dut.clear.value = 0
        if clear:
            self.model.clear()
        else:
            for counter, amount in zip(Counter, amounts, strict=True):
                self.model.add(counter, amount)
        assert self.dut.busy.value or not (clear or any(amounts))

    async def check(self) -> None:
        """Wait until the counters have settled, within SETTLE_CYCLES, then compare all of them."""
        cycles = 1
        while self.dut.busy.value:
            await FallingEdge(self.dut.clk)
            cycles += 1
        assert cycles <= SETTLE_CYCLES
        for index in range(1 << INDEX_BITS):
            for half in range(2):
                self.dut.index.value, self.dut.half.value = index, half
                await FallingEdge(self.dut.clk)
                expected = self.model.word(index, half) if index < len(self.model) else 0
                assert int(self.dut.data.value) == expected, f"counter {index}, half {half}, seed {bench.seed()}"


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def matches_golden(dut: Any) -> None:
    rng = Random(bench.seed())
    driver = Driver(dut)
    await bench.start(dut)
    await driver.check()
    # A single counter at each position of the round; all counters; all at their maximum for several rounds.
    for counter in Counter:
        for _ in range(2):
            await driver.count([int(n == counter) for n in range(len(Counter))])
            await driver.check()
    for _ in range(3 * len(Counter) + 1):
        await driver.count([MOST] * len(Counter))
    await driver.check()
    for _ in range(60):
        density = rng.choice((0.02, 0.5, 1))
        clear = rng.choice((0, 0, 0.02))
        for _ in range(rng.randrange(1, 100)):
            amounts = [rng.randint(1, MOST) if rng.random() < density else 0 for _ in Counter]
            await driver.count(amounts, rng.random() < clear)
        await driver.check()


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def clears_at_any_place_of_the_round(dut: Any) -> None:
    driver = Driver(dut)
    await bench.start(dut)
    for place in range(2 * len(Counter)):
        for _ in range(place):
            await driver.count([1] * len(Counter))
        await driver.count([1] * len(Counter), clear=True)
        if place % 2:
            await driver.count([2] * len(Counter))
        await driver.check()


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def carries_into_the_high_half(dut: Any) -> None:
    rng = Random(bench.seed())
    driver = Driver(dut)
    await bench.start(dut)
    await driver.count([0] * len(Counter), clear=True)
    await driver.check()
    for start in ((1 << 32) - 2, (1 << 48) - 2, (1 << 47) - 1):
        # During reset there are no other writes.
        dut.rst.value = 1
        await FallingEdge(dut.clk)
        for counter in Counter:
            dut.memory[counter].value = start + counter % 2
            driver.model.add(counter, (start + counter % 2 - driver.model[counter]) % (1 << 48))
        await FallingEdge(dut.clk)
        dut.rst.value = 0
        await driver.check()
        for _ in range(5):
            await driver.count([rng.randrange(MOST + 1) for _ in Counter])
        await driver.check()


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def reset_keeps_what_is_settled(dut: Any) -> None:
    driver = Driver(dut)
    await bench.start(dut)
    await driver.count([0] * len(Counter), clear=True)
    for cycles in range(len(Counter) + 3):
        await driver.count([cycles % 4] * len(Counter))
        await driver.check()
        for _ in range(cycles):
            await FallingEdge(dut.clk)
        dut.rst.value = 1
        await FallingEdge(dut.clk)
        dut.rst.value = 0
        await driver.check()
