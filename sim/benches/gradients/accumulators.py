"""Testbench of the gradient accumulators."""

from random import Random
from typing import Any, NamedTuple

import cocotb
import numpy as np
from amaranth.lib import data
from cocotb.triggers import FallingEdge, ReadOnly

from opzo.hw.gradients.accumulators import (
    HALF,
    UPDATE_WIDTH,
    Change,
    GradientAccumulators,
    change_layout,
)
from opzo.hw.timing import GRADIENT_CYCLES
from opzo.sim.benches import bench
from opzo.sim.benches.compare import assert_equal
from opzo.sim.benches.streams import pack, unpack
from opzo.sim.golden.saturate import saturate
from opzo.spec.formats import GRADIENT
from opzo.spec.geometry import CELL_BITS
from opzo.spec.limits import Limits

TOP = 1 << (UPDATE_WIDTH - 1)


class Step(NamedTuple):
    """A change of a row-word, or an idle cycle (``change`` is None)."""

    change: Change | None
    row: int = 0
    cell: bool = False
    update: tuple[int, ...] = ()


class Group:
    """The unit and a model of its memory."""

    def __init__(self, dut: Any, rng: Random) -> None:
        self.dut, self.rng = dut, rng
        self.limits = limits = Limits(**bench.parameters()["limits"])
        self.lanes, self.layout = limits.lanes_per_group, change_layout(limits)
        self.signature = GradientAccumulators(limits).signature
        self.gradients = np.zeros((limits.gradients, self.lanes), np.int64)
        dut.change.value = 0

    def random_steps(self, count: int) -> list[Step]:
        """Changes that often meet the same row again, and pauses."""
        rng = self.rng
        rows = [rng.randrange(self.limits.gradients) for _ in range(rng.choice((1, 2, 4, 50)))]
        idle, scale = rng.choice((0.0, 0.0, 0.5)), rng.choice((1, 200, TOP))
        kinds = rng.choice(([Change.ADD], [Change.ADD] * 5 + [Change.CLEAR], list(Change)))
        return [
            Step(None)
            if rng.random() < idle
            else Step(rng.choice(kinds), rng.choice(rows), rng.random() < 0.2, self.update(scale))
            for _ in range(count)
        ]

    def update(self, scale: int) -> tuple[int, ...]:
        """Updates of all lanes, up to ``scale``."""
        choices = (-scale, scale - 1, self.rng.randrange(-scale, scale))
        return tuple(self.rng.choice(choices) for _ in range(self.lanes))

    def golden(self, step: Step) -> tuple[np.ndarray, bool]:
        """Change the model; what was found, and whether some sum saturated."""
        found, update = self.gradients[step.row].copy(), np.array(step.update)
        mask = (1 << HALF) - 1
        saturated = False
        if step.change is Change.ADD:
            exact = found + (update << CELL_BITS * step.cell)
            self.gradients[step.row], where = saturate(exact, GRADIENT.width)
            saturated = bool(where.any())
        elif step.change is Change.CLEAR:
            self.gradients[step.row] = 0
        elif step.change is Change.LOW:
            self.gradients[step.row] = found & ~mask | update & mask
        else:
            self.gradients[step.row] = ((update << HALF | found & mask) + (1 << 31)) % (1 << 32) - (1 << 31)
        return found, saturated

    async def check(self, steps: list[Step]) -> None:
        """Do ``steps``, one a cycle, and compare what each finds."""
        dut, rng = self.dut, self.rng
        shape = self.signature.members["gradient"].shape
        saturated_before = False
        for cycle in range(len(steps) + GRADIENT_CYCLES + 1):
            # In idle cycles all but ``valid`` is random.
            step = steps[cycle] if cycle < len(steps) else Step(None)
            bits = rng.getrandbits(self.layout.size - 1) << 1
            if step.change is not None:
                bits = pack(
                    self.layout, {"valid": 1, "address": step.row, "change": step.change.value, "cell": step.cell}
                )
            dut.change.value = bits
            late = steps[cycle - GRADIENT_CYCLES] if 0 <= cycle - GRADIENT_CYCLES < len(steps) else Step(None)
            update = late.update or self.update(TOP)
            dut.update.value = pack(data.ArrayLayout(UPDATE_WIDTH, self.lanes), update)
            await ReadOnly()
            assert bool(dut.saturated.value) == saturated_before, f"seed {bench.seed()}: saturated before {late}"
            saturated_before = False
            if late.change is not None:
                found, saturated_before = self.golden(late)
                got = unpack(shape, int(dut.gradient.value))
                assert_equal(got, found, what=f"gradients found by {late}", seed=bench.seed())
            await FallingEdge(dut.clk)

    async def check_all(self) -> None:
        """Compare the whole memory; adds 0."""
        zero = (0,) * self.lanes
        await self.check([Step(Change.ADD, row, update=zero) for row in range(self.limits.gradients)])

    async def clear(self) -> None:
        """Forget what an earlier test has left in the memory."""
        for row in range(self.limits.gradients):
            self.dut.change.value = pack(
                self.layout, {"valid": 1, "address": row, "change": Change.CLEAR.value, "cell": 0}
            )
            await FallingEdge(self.dut.clk)
        self.dut.change.value = 0


async def begin(dut: Any) -> Group:
    group = Group(dut, Random(bench.seed()))
    await bench.start(dut)
    await group.clear()
    return group


@cocotb.test(timeout_time=100, timeout_unit="ms")
async def matches_golden(dut: Any) -> None:
    group = await begin(dut)
    rng, most = group.rng, (TOP - 1,) * group.lanes
    await group.check_all()
    # The same row at every small distance.
    for distance in range(5):
        for change in Change:
            gap = [Step(Change.ADD, 1, False, most)] * distance
            await group.check([Step(change, 0, True, group.update(TOP)), *gap, Step(Change.ADD, 0, False, most)])
    # Up to saturation, there and back.
    for sign in (1, -1, 1):
        await group.check([Step(Change.ADD, 0, True, tuple(sign * n for n in most))] * 600)
    for _ in range(60):
        await group.check(group.random_steps(rng.choice((5, 150))))
    await group.check_all()


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def reset_ends_changes_under_way(dut: Any) -> None:
    group = await begin(dut)
    for _ in range(30):
        await group.check(group.random_steps(20))
        # A change of the last cycles before a reset is lost, or was written.
        row = group.rng.randrange(group.limits.gradients)
        bits = pack(group.layout, {"valid": 1, "address": row, "change": Change.CLEAR.value, "cell": 0})
        dut.change.value = bits
        await FallingEdge(dut.clk)
        dut.change.value = 0
        dut.rst.value = 1
        await FallingEdge(dut.clk)
        dut.rst.value = 0
        await group.check_all()
