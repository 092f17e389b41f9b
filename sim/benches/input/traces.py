"""Testbench of the presynaptic traces."""

from random import Random
from typing import Any

import cocotb
from cocotb.triggers import FallingEdge

from opzo.sim.benches import bench
from opzo.sim.benches.input.map_scan import scanned
from opzo.sim.benches.input.traces_driver import Driver, Mark
from opzo.spec.formats import HISTORY_STEPS


async def start(dut: Any) -> Driver:
    """Driver after reset."""
    driver = Driver(dut, Random(bench.seed()))
    await driver.start()
    return driver


@cocotb.test(timeout_time=200, timeout_unit="ms")
async def matches_golden(dut: Any) -> None:
    driver = await start(dut)
    rng = driver.rng
    before = 0
    for number in range(bench.parameters()["runs"]):
        steps = 1 if driver.graded else rng.choice((1, HISTORY_STEPS, rng.randint(0, HISTORY_STEPS)))
        marks = driver.random_marks(rng.choice((0, 0.05, 0.3, 1)), steps)
        what = f"in run {number} of {steps} steps, after one of {before}"
        await driver.run(before, marks, fresh=rng.random() < 0.1, what=what, hurry=rng.random() < 0.3)
        before = steps
        if rng.random() < 0.05:
            await driver.clear()
            await driver.check("after clear")


@cocotb.test(timeout_time=50, timeout_unit="ms")
async def scans_sort_the_lists_of_maps(dut: Any) -> None:
    driver = await start(dut)
    rng = driver.rng
    if not driver.maps:
        return
    exists = [
        {neuron["row"] for neuron in scanned(map)} if map["is_map"] else set(range(rows))
        for map, rows in zip(driver.maps, driver.rows, strict=True)
    ]
    for number in range(60):
        steps = rng.randint(1, HISTORY_STEPS)
        marks = driver.random_marks(rng.choice((0, 0.05, 0.3, 1)), steps)
        marks = [mark for mark in marks if mark is None or mark[1] in exists[mark[0]]]
        await driver.run(steps, marks, fresh=rng.random() < 0.2, what=f"in run {number}", hurry=True)
        if rng.random() < 0.8:
            await driver.scan()
        await driver.check(f"after the scan of run {number}")
        if number % 10 == 9:
            # A reset in the middle of a scan.
            dut.scan.value = 1
            for _ in range(rng.randint(1, 9)):
                await FallingEdge(dut.clk)
                dut.scan.value = 0
            dut.rst.value = 1
            await FallingEdge(dut.clk)
            dut.rst.value = 0
            driver.forget()
            await FallingEdge(dut.clk)
            await driver.walked()


@cocotb.test(timeout_time=50, timeout_unit="ms")
async def rows_leave_the_lists_in_time(dut: Any) -> None:
    driver = await start(dut)
    # Rows that spiked in every possible way, then silence in runs of one length, until all lists are empty.
    for quiet in range(1, HISTORY_STEPS + 1):
        for steps in (1, 5, HISTORY_STEPS):
            await driver.run(0, driver.random_marks(0.6, steps), fresh=True, what="at the beginning")
            for number in range(2 + HISTORY_STEPS):
                left = sum(len(golden.active) for golden in driver.golden)
                # Now and then a row comes back, behind those that stayed.
                marks = driver.random_marks(0.1, 1) if number == 1 else []
                length = quiet if number else steps
                await driver.run(length, marks, fresh=False, what=f"after {number} runs of {quiet}, {left} rows left")
            if quiet == HISTORY_STEPS and not driver.graded:
                assert all(len(golden.active) == 0 for golden in driver.golden)


@cocotb.test(timeout_time=50, timeout_unit="ms")
async def empty_and_full_lists(dut: Any) -> None:
    driver = await start(dut)
    rng = driver.rng
    last = 200 if driver.graded else HISTORY_STEPS - 1
    for _ in range(3):
        await driver.run(0, [], fresh=True, what="fresh and empty")
        await driver.run(8, [], fresh=False, what="empty after empty")
        every = [(layer, row, last) for layer, rows in enumerate(driver.rows) for row in range(rows)]
        rng.shuffle(every)
        await driver.run(8, list(every), fresh=False, what="all rows in any order")
        await driver.run(1, [], fresh=False, what="all rows stay")
        rng.shuffle(every)
        await driver.run(1, list(every), fresh=False, what="all rows again")
        # A full list loses some from its middle, then they come back.
        for _ in range(4):
            await driver.run(2, [], fresh=False, what="traces fade")
        await driver.run(8, list(every), fresh=False, what="all rows, most of them there")
        await driver.run(8, [], fresh=True, what="fresh after full")
        assert all(len(golden.active) == 0 for golden in driver.golden)


@cocotb.test(timeout_time=50, timeout_unit="ms")
async def marks_of_a_row_close_together(dut: Any) -> None:
    driver = await start(dut)
    rng = driver.rng
    if driver.graded:
        # A graded row has one value a run: of two neighbours nothing may get from one to the other.
        for _ in range(40):
            rows = rng.sample(range(driver.rows[0]), min(4, driver.rows[0]))
            await driver.run(1, [(0, row, rng.randrange(1, 256)) for row in rows], fresh=False, what="neighbours")
        return
    layers = range(len(driver.rows))
    for apart in (1, 2, 3, 4):
        for _ in range(12):
            layer = rng.choice(layers)
            row = rng.randrange(driver.rows[layer])
            marks: list[Mark | None] = []
            for step in rng.sample(range(HISTORY_STEPS), 4):
                marks.append((layer, row, step))
                # In between nothing, the same row of another layer, or a neighbour.
                for _ in range(apart - 1):
                    other = rng.choice(layers)
                    where = min(row, driver.rows[other] - 1)
                    neighbour = (layer, (row + 1) % driver.rows[layer], step)
                    marks.append(rng.choice((None, (other, where, step), neighbour)))
            steps = rng.randint(0, HISTORY_STEPS)
            await driver.run(steps, marks, fresh=rng.random() < 0.3, what=f"{apart} cycles apart: {marks}")
    for _ in range(60):
        # Anything, from few rows.
        few = [(layer, row % driver.rows[layer]) for layer in layers for row in (0, rng.randrange(1 << driver.bits))]
        marks = [rng.choice((None, (*rng.choice(few), rng.randrange(HISTORY_STEPS)))) for _ in range(30)]
        await driver.run(rng.randint(0, 8), marks, fresh=rng.random() < 0.3, what=f"marks {marks}")


@cocotb.test(timeout_time=50, timeout_unit="ms")
async def clears_everything(dut: Any) -> None:
    driver = await start(dut)
    rng = driver.rng
    for number in range(8):
        await driver.run(3, driver.random_marks(0.5, 3), fresh=False, what="before clear")
        if number % 2 and driver.bits > 3:
            # Marks under way go, too; some of the last ones get there first.
            await driver.mark(driver.random_marks(0.5, 1)[: rng.randint(1, 5)])
            driver.expected_firsts = []
        await driver.clear()
        driver.firsts.clear()
        await driver.check("after clear")
        # While it walks, clear is ignored.
        await driver.run(0, driver.random_marks(0.5, 3), fresh=False, what="after clear")
        dut.begin.value, dut.steps.value, dut.fresh.value = 1, 3, 0
        await FallingEdge(dut.clk)
        dut.begin.value, dut.clear.value = 0, 1
        await FallingEdge(dut.clk)
        dut.clear.value = 0
        for golden in driver.golden:
            golden.begin(3, fresh=False, graded=driver.graded)
        await driver.walked()
        await driver.check("after a clear that was ignored")


@cocotb.test(timeout_time=50, timeout_unit="ms")
async def reset_clears_everything(dut: Any) -> None:
    driver = await start(dut)
    rng = driver.rng
    for _ in range(30):
        await driver.run(3, driver.random_marks(0.5, 3), fresh=False, what="before reset")
        # During a walk, a wipe, or marks.
        where = rng.randrange(3)
        dut.begin.value, dut.clear.value = where == 0, where == 1
        await FallingEdge(dut.clk)
        dut.begin.value = dut.clear.value = 0
        if where == 2:
            await driver.mark(driver.random_marks(0.5, 3))
        else:
            for _ in range(rng.randrange(1 << driver.bits)):
                await FallingEdge(dut.clk)
        dut.rst.value = 1
        await FallingEdge(dut.clk)
        dut.rst.value = 0
        driver.forget()
        await FallingEdge(dut.clk)
        driver.expected_firsts.clear()
        driver.firsts.clear()
        await driver.walked()
        await driver.check("after reset")
