"""Testbench of the error unit."""

from random import Random
from typing import Any

import cocotb
import numpy as np
from amaranth.hdl import signed
from cocotb.triggers import FallingEdge, ReadOnly

from opzo.hw.error import CLASS_BITS
from opzo.sim import bench
from opzo.sim.compare import assert_equal
from opzo.sim.golden.error import error_step
from opzo.sim.streams import unpack
from opzo.spec.formats import (
    ERROR,
    EXP2_FRAC_BITS,
    HISTORY_STEPS,
    LOG2E_FRAC_BITS,
    LOG2E_NUMERATOR,
    MEMBRANE,
    OUTPUT_SUM,
    RATE_BITS,
    SCALED_ERROR,
    ZO_LOSS_SHIFT,
)
from opzo.spec.registers import READOUT_LAYER

EXPONENT_SHIFT = LOG2E_FRAC_BITS + MEMBRANE.frac_bits - EXP2_FRAC_BITS
BUSY_CYCLES = 30
"""Cycles beyond 2 C from the last read-out to the fall of busy."""


class Driver:
    """Feed samples to the unit and compare everything that can be read after each step."""

    def __init__(self, dut: Any, rng: Random, classes: int) -> None:
        self.dut, self.rng, self.classes = dut, rng, classes
        self.scaled_losses = [0, 0]
        self.errors: list[int] = []
        self.difference: np.ndarray | None = None
        """Of the last odd step."""
        self.answer: tuple[int, int] | None = None
        """Prediction and loss of the last sample."""
        for name in ("start", "o_valid", "read_class", "sum_class", "label", "rate", "mse_shift"):
            getattr(dut, name).value = 0
        for name in ("read_source", "read_step"):
            getattr(dut, name).value = 0
        dut.classes.value = classes
        cocotb.start_soon(self._collect())

    async def sample(
        self, outputs: np.ndarray, label: int, rate: int, mse_shift: int, stall: float, local: float = 0
    ) -> None:
        """Run one sample; ``outputs``: read-outs (steps, classes).

        ``local`` is the probability that a layer's own read-out comes before a step of the network's, which leaves
        everything of the network as it was.
        """
        dut = self.dut
        dut.label.value, dut.rate.value, dut.mse_shift.value = label, rate, mse_shift
        loss_sum = 0
        local_errors: dict[tuple[int, int], np.ndarray] = {}
        for step, o in enumerate(outputs):
            while self.rng.random() < local:
                source, at = self.rng.randrange(READOUT_LAYER), self.rng.randrange(HISTORY_STEPS)
                own = np.array(random_outputs(self.rng, self.classes))
                await self.step(own, source, at, bool(self.rng.getrandbits(1)), stall)
                assert self.errors == [], "errors of a local read-out for the network's"
                assert self.answer in (None, self._answer()), "a local read-out changed the last sample's answer"
                local_errors[source, at] = error_step(own, label, mse_shift=mse_shift)[0] * rate
            await self.step(o, READOUT_LAYER, step, step == len(outputs) - 1, stall)
            error, loss = error_step(o, label, mse_shift=mse_shift)
            loss_sum += loss
            self.scaled_losses[step % 2] = rate * min(loss >> ZO_LOSS_SHIFT, ERROR.max)
            what = f"step {step}, label {label}, rate {rate}, mse_shift {mse_shift}, o {o.tolist()}"
            assert_equal(self.errors, error * rate, what=f"strobed errors, {what}", seed=bench.seed())
            local_errors[READOUT_LAYER, step] = error * rate
            for (source, at), expected in local_errors.items():
                errors = await self.read_errors(source, at)
                assert_equal(errors, expected, what=f"errors of source {source}, step {at}, {what}", seed=bench.seed())
            if step % 2:
                self.difference = outputs[step - 1] - o
            if self.difference is not None:
                difference = await self.read(dut.read_class, dut.read_difference)
                assert_equal(difference, self.difference, what=f"differences, {what}", seed=bench.seed())
            for parity in range(1 + (step > 0)):
                dut.read_step.value = parity
                await ReadOnly()
                assert int(dut.loss_scaled.value) == self.scaled_losses[parity], f"loss of parity {parity}, {what}"
                await FallingEdge(dut.clk)
        self.answer = self._answer()
        sums = outputs.sum(axis=0)
        assert int(dut.loss_sum.value) == loss_sum
        assert int(dut.prediction.value) == sums.argmax()
        assert_equal(await self.read(dut.sum_class, dut.sum_data), sums, what="sums", seed=bench.seed())

    async def step(
        self, o: np.ndarray, source: int, step: int, last: bool, stall: float, others: np.ndarray | None = None
    ) -> None:
        """Run one step, checking the latency and in every cycle, where given, the errors that are read meanwhile."""
        dut = self.dut
        self.errors = []
        dut.source.value, dut.step.value, dut.last_step.value, dut.start.value = source, step, last, 1
        await FallingEdge(dut.clk)
        dut.start.value = 0
        # Sampled with start; what comes later is for nobody.
        for name in ("source", "step", "last_step"):
            getattr(dut, name).value = self.rng.getrandbits(len(getattr(dut, name)))
        for value in o.tolist():
            dut.o_valid.value = 0
            while self.rng.random() < stall:
                dut.o_data.value = self.rng.getrandbits(MEMBRANE.width)
                await self._cycle(others)
                assert dut.busy.value == 1
            dut.o_valid.value = 1
            dut.o_data.value = value & ((1 << MEMBRANE.width) - 1)
            await self._cycle(others)
        dut.o_valid.value = 0
        # The cycle of the last read-out is over.
        cycles = 1
        while dut.busy.value:
            await self._cycle(others)
            cycles += 1
            assert cycles < 1000
        assert cycles == 2 * self.classes + BUSY_CYCLES

    async def _cycle(self, others: np.ndarray | None) -> None:
        k = self.rng.randrange(self.classes)
        self.dut.read_class.value = k
        await FallingEdge(self.dut.clk)
        assert others is None or self.dut.read_error.value.to_signed() == others[k]

    def _answer(self) -> tuple[int, int]:
        return int(self.dut.prediction.value), int(self.dut.loss_sum.value)

    async def read_errors(self, source: int, step: int) -> list[int]:
        """Error memory of a source and step."""
        self.dut.read_source.value, self.dut.read_step.value = source, step
        return await self.read(self.dut.read_class, self.dut.read_error)

    async def read(self, index: Any, signal: Any) -> list[int]:
        """All classes of something that is read by class."""
        values = []
        for k in range(self.classes):
            index.value = k
            await FallingEdge(self.dut.clk)
            values.append(signal.value.to_signed())
        return values

    async def _collect(self) -> None:
        while True:
            await FallingEdge(self.dut.clk)
            bits = int(self.dut.error.value)
            if self.dut.rst.value:
                self.errors = []
            elif bits & 1:
                assert bits >> 1 & ((1 << CLASS_BITS) - 1) == len(self.errors), "errors out of order"
                self.errors.append(unpack(signed(SCALED_ERROR.width), bits >> (1 + CLASS_BITS)))
            else:
                assert len(self.errors) in (0, self.classes), "errors with a gap"


def corner_outputs(classes: int) -> list[list[int]]:
    """Read-outs at the ends of what can happen: all equal, one alone, far apart, one step apart."""
    low, high, one = MEMBRANE.min, MEMBRANE.max, MEMBRANE.one
    corners = [[v] * classes for v in (low, -1, 0, 1, high)]
    for k in (0, 1, classes - 1):
        # The last four make errors of +-512 and +-511 with half of the squared error.
        for rest, alone in (
            (low, high),
            (high, low),
            (0, 1),
            (0, -1),
            (0, one),
            (0, -one),
            (0, 8 * one),
            (0, 16 * one),
            (low, 2 * one),
            (low, 2 * one - 1),
            (high, -one),
            (high, 32 - one),
        ):
            corners.append([alone if j == k else rest for j in range(classes)])
    # Exponents around the least loss that is cut to ERROR.max, the end of the powers, and the largest loss.
    for exponent in (510, 511, 512, 513, 1023, 1024, 16383, 16384):
        distance = (exponent << EXPONENT_SHIFT) // LOG2E_NUMERATOR + 1
        corners.append([MEMBRANE.max, *[MEMBRANE.min] * (classes - 2), MEMBRANE.max - distance])
    return corners


def random_outputs(rng: Random, classes: int) -> list[int]:
    """Read-outs with spreads from a few units to everything."""
    spread = 1 << rng.randrange(1, MEMBRANE.width)
    offset = rng.randrange(-spread, spread)
    return [max(MEMBRANE.min, min(MEMBRANE.max, offset + rng.randrange(-spread, spread))) for _ in range(classes)]


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
            await driver.sample(np.array([o, o[::-1]]), label, rate, mse_shift, 0)
    for _ in range(p["samples"]):
        outputs = np.array([random_outputs(rng, classes) for _ in range(rng.choice((1, 2, 3, 8)))])
        rate, mse_shift = rng.choice((0, 1, 255, rng.getrandbits(RATE_BITS))), rng.choice((0, rng.randrange(16)))
        await driver.sample(
            outputs, rng.randrange(classes), rate, mse_shift, rng.choice((0, 0.5)), local=rng.choice((0, 0.5))
        )


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def sums_eight_extreme_steps(dut: Any) -> None:
    p, rng = bench.parameters(), Random(bench.seed())
    classes = p["classes"]
    driver = Driver(dut, rng, classes)
    await bench.start(dut)
    for value in (MEMBRANE.min, MEMBRANE.max):
        outputs = np.full((8, classes), value)
        assert OUTPUT_SUM.min <= outputs.sum(axis=0).min() <= outputs.sum(axis=0).max() <= OUTPUT_SUM.max
        outputs[:, 0] = -value - 1
        await driver.sample(outputs, 0, 255, 3, 0)
        await driver.sample(outputs, 1, 255, 0, 0)


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def predicts_the_lowest_of_equal_sums(dut: Any) -> None:
    p, rng = bench.parameters(), Random(bench.seed())
    classes = p["classes"]
    driver = Driver(dut, rng, classes)
    await bench.start(dut)
    for winner in range(classes - 1):
        first = [5 if k >= winner else -7 for k in range(classes)]
        second = [2 if k >= winner else 11 for k in range(classes)]
        await driver.sample(np.array([first, second]), 0, 1, 0, 0.2)
        assert int(dut.prediction.value) == winner


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def the_step_before_stays_readable(dut: Any) -> None:
    p, rng = bench.parameters(), Random(bench.seed())
    classes = p["classes"]
    driver = Driver(dut, rng, classes)
    await bench.start(dut)
    dut.label.value, dut.rate.value = 1, 200
    steps = [np.array(random_outputs(rng, classes)) for _ in range(20)]
    dut.read_source.value = READOUT_LAYER
    await driver.step(steps[0], READOUT_LAYER, 0, False, 0)
    for t in range(1, len(steps)):
        dut.read_step.value = (t - 1) % HISTORY_STEPS
        others = error_step(steps[t - 1], 1, mse_shift=0)[0] * 200
        await driver.step(steps[t], READOUT_LAYER, t % HISTORY_STEPS, False, 0.3, others)


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def recovers_from_reset_anywhere(dut: Any) -> None:
    p, rng = bench.parameters(), Random(bench.seed())
    classes = p["classes"]
    driver = Driver(dut, rng, classes)
    await bench.start(dut)
    for cycles in range(2, 3 * classes + BUSY_CYCLES, max(1, classes // 8)):
        running = cocotb.start_soon(driver.step(np.array(random_outputs(rng, classes)), READOUT_LAYER, 1, False, 0))
        for _ in range(cycles):
            await FallingEdge(dut.clk)
        running.cancel()
        dut.start.value = dut.o_valid.value = 0
        dut.rst.value = 1
        await FallingEdge(dut.clk)
        dut.rst.value = 0
        await FallingEdge(dut.clk)
        assert dut.busy.value == 0
        driver.difference = driver.answer = None
        outputs = np.array([random_outputs(rng, classes) for _ in range(2)])
        await driver.sample(outputs, rng.randrange(classes), 255, 2, 0)
