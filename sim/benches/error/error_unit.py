"""Testbench of the error unit."""

from random import Random
from typing import Any

import cocotb
import numpy as np
from cocotb.triggers import FallingEdge

from opzo.sim.benches import bench
from opzo.sim.benches.compare import assert_equal
from opzo.sim.benches.error.error_driver import BUSY_CYCLES, NETWORK, Driver
from opzo.sim.benches.error.outputs import corner_outputs, random_outputs
from opzo.sim.golden.error import error_step
from opzo.spec.formats import HISTORY_STEPS, MAX_STEPS, MEMBRANE, RATE_BITS


@cocotb.test(timeout_time=100, timeout_unit="ms")
async def matches_golden(dut: Any) -> None:
    p, rng = bench.parameters(), Random(bench.seed())
    classes = p["classes"]
    driver = Driver(dut, rng, classes)
    await bench.start(dut)
    for o in corner_outputs(classes):
        for label, rate, mse_shift in (
            (0, 255, 0),
            (0, 2, 1),
            (classes - 1, 1, 1),
            (classes - 1, 255, 0),
            (classes // 2, 255, 15),
        ):
            await driver.run(np.array([o, o[::-1]]), label, rate, mse_shift, 0)
    for _ in range(p["samples"]):
        outputs = np.array([random_outputs(rng, classes) for _ in range(rng.choice((1, 2, 3, 8)))])
        rate, mse_shift = rng.choice((0, 1, 255, rng.getrandbits(RATE_BITS))), rng.choice((0, rng.randrange(16)))
        await driver.run(
            outputs,
            rng.randrange(classes),
            rate,
            mse_shift,
            rng.choice((0, 0.5)),
            local=rng.choice((0, 0.5)),
            learn=rng.random() < 0.7,
            phase=rng.getrandbits(1),
            restart=rng.random() < 0.4,
        )


@cocotb.test(timeout_time=100, timeout_unit="ms")
async def sums_the_longest_decision(dut: Any) -> None:
    p, rng = bench.parameters(), Random(bench.seed())
    classes = p["classes"]
    driver = Driver(dut, rng, classes)
    await bench.start(dut)
    # As many steps as there may be where that is quick; then some more, until all sums have wrapped.
    longest = MAX_STEPS if classes <= 3 else 100
    for value in (MEMBRANE.min, MEMBRANE.max):
        outputs = np.full(classes, value)
        outputs[0] = -value - 1
        # The label with the least readout has the largest loss.
        label = int(outputs.argmin())
        _, loss = error_step(outputs, label, mse_shift=0)
        dut.settings__label.value, dut.settings__learn.value = label, 0
        for number in range(longest + 10):
            last = number in (longest - 1, longest + 9)
            step = number % HISTORY_STEPS
            await driver.step(outputs, NETWORK, step, last, bool(step % 2), number == 0, stall=0)
            driver._add(outputs, loss, restart=number == 0)
            if last:
                await driver.check_answer()
            if number == longest - 1:
                assert_equal(driver.sums, longest * outputs, what="sums, which have not wrapped")
                assert driver.loss_sum == longest * loss
        driver.answer = None
    assert longest < MAX_STEPS or driver.loss_sum < longest * loss
    assert longest < MAX_STEPS or (abs(driver.sums) < abs(longest * outputs)).any()


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def sums_eight_extreme_steps(dut: Any) -> None:
    p, rng = bench.parameters(), Random(bench.seed())
    classes = p["classes"]
    driver = Driver(dut, rng, classes)
    await bench.start(dut)
    for learn in (True, False):
        for value in (MEMBRANE.min, MEMBRANE.max):
            outputs = np.full((8, classes), value)
            outputs[:, 0] = -value - 1
            await driver.run(outputs, 0, 255, 3, 0, learn=learn)
            await driver.run(outputs, 1, 255, 0, 0, learn=learn, restart=False)


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def predicts_the_lowest_of_equal_sums(dut: Any) -> None:
    p, rng = bench.parameters(), Random(bench.seed())
    classes = p["classes"]
    driver = Driver(dut, rng, classes)
    await bench.start(dut)
    for winner in range(classes - 1):
        first = [5 if k >= winner else -7 for k in range(classes)]
        second = [2 if k >= winner else 11 for k in range(classes)]
        await driver.run(np.array([first, second]), 0, 1, 0, 0.2)
        assert int(dut.answer__prediction.value) == winner
        # Over two runs.
        for restart, o in ((True, first), (False, second)):
            await driver.run(np.array([o]), 0, 1, 0, 0, restart=restart, learn=bool(winner % 2))
        assert int(dut.answer__prediction.value) == winner


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def the_step_before_stays_readable(dut: Any) -> None:
    p, rng = bench.parameters(), Random(bench.seed())
    classes = p["classes"]
    driver = Driver(dut, rng, classes)
    await bench.start(dut)
    dut.settings__label.value, dut.settings__rate.value, dut.settings__learn.value = 1, 200, 1
    steps = [np.array(random_outputs(rng, classes)) for _ in range(20)]
    dut.read__source.value = NETWORK
    await driver.step(steps[0], NETWORK, 0, False, False, True, stall=0)
    for t in range(1, len(steps)):
        dut.read__step.value = (t - 1) % HISTORY_STEPS
        others = error_step(steps[t - 1], 1, mse_shift=0)[0] * 200
        step = t % HISTORY_STEPS
        await driver.step(steps[t], NETWORK, step, False, bool(t % 2), False, stall=0.3, others=others)


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def recovers_from_reset_anywhere(dut: Any) -> None:
    p, rng = bench.parameters(), Random(bench.seed())
    classes = p["classes"]
    driver = Driver(dut, rng, classes)
    await bench.start(dut)
    for cycles in range(2, 3 * classes + BUSY_CYCLES, max(1, classes // 8)):
        dut.settings__learn.value = rng.getrandbits(1)
        outputs = np.array(random_outputs(rng, classes))
        running = cocotb.start_soon(driver.step(outputs, NETWORK, 1, False, True, False, stall=0))
        for _ in range(cycles):
            await FallingEdge(dut.clk)
        running.cancel()
        dut.step__start.value = dut.readout__valid.value = 0
        dut.rst.value = 1
        await FallingEdge(dut.clk)
        dut.rst.value = 0
        await FallingEdge(dut.clk)
        assert dut.progress__done.value == 0
        driver.answer = None
        driver.differences, driver.last_outputs = {}, {}
        outputs = np.array([random_outputs(rng, classes) for _ in range(2)])
        await driver.run(outputs, rng.randrange(classes), 255, 2, 0)
