"""Testbench of the error unit."""

from random import Random
from typing import Any

import cocotb
import numpy as np
from cocotb.triggers import FallingEdge, ReadOnly

from opzo.hw.error.ports import ERROR_STROBE
from opzo.sim.benches import bench
from opzo.sim.benches.compare import assert_equal
from opzo.sim.benches.streams import unpack
from opzo.sim.golden.error import error_step
from opzo.spec.formats import (
    ERROR,
    EXP2_FRAC_BITS,
    HISTORY_STEPS,
    LOG2E_FRAC_BITS,
    LOG2E_NUMERATOR,
    LOSS_SUM_BITS,
    MAX_STEPS,
    MEMBRANE,
    OUTPUT_SUM,
    RATE_BITS,
    ZO_LOSS_SHIFT,
)
from opzo.spec.limits import USUAL_HIDDEN

NETWORK = USUAL_HIDDEN
"""Source of the network's readouts in a usual device."""
EXPONENT_SHIFT = LOG2E_FRAC_BITS + MEMBRANE.frac_bits - EXP2_FRAC_BITS
BUSY_CYCLES, INFERENCE_CYCLES = 30, 12
"""Cycles beyond 2 C from the last readout to ``done``; without learning beyond C."""


class Driver:
    """Feed runs to the unit and compare everything that can be read after each step."""

    def __init__(self, dut: Any, rng: Random, classes: int) -> None:
        self.dut, self.rng, self.classes = dut, rng, classes
        self.convolves = bench.parameters().get("convolves", False)
        self.intermediate = rng.randrange(NETWORK) if self.convolves else None
        """Layer of the intermediate readout."""
        self.scaled_losses = [0, 0]
        self.errors: list[int] = []
        self.last_outputs: dict[int, np.ndarray] = {}
        """Of the last step of the network and of the intermediate readout, of any run, as far as known."""
        self.differences: dict[tuple[int, int], np.ndarray] = {}
        """Of the last odd step, by source and pair of steps; without convolutions there is a single one."""
        self.answer: tuple[int, int] | None = None
        """Prediction and loss of the last run."""
        self.sums, self.loss_sum = np.zeros(classes, np.int64), 0
        """Of the decision so far."""
        for signal in (dut.step__start, dut.readout__valid, dut.answer__sum_class):
            signal.value = 0
        for name in ("label", "rate", "mse_shift", "learn"):
            getattr(dut, f"settings__{name}").value = 0
        dut.settings__intermediate.value = 0 if self.intermediate is None else self.intermediate + 1
        for name in ("class_", "source", "step"):
            getattr(dut, f"read__{name}").value = 0
        dut.settings__classes.value = classes
        cocotb.start_soon(self._collect())

    async def run(
        self,
        outputs: np.ndarray,
        label: int,
        rate: int,
        mse_shift: int,
        stall: float,
        local: float = 0,
        *,
        learn: bool = True,
        phase: int = 0,
        restart: bool = True,
    ) -> None:
        """Run; ``outputs``: readouts (steps, classes).

        ``local`` is the probability that a layer's own readout comes before a step of the network's, which leaves
        everything of the network as it was. With ``phase`` 1 the first step is the second of an antithetic pair;
        ``restart`` begins a decision.
        """
        dut = self.dut
        (
            dut.settings__label.value,
            dut.settings__rate.value,
            dut.settings__mse_shift.value,
            dut.settings__learn.value,
        ) = label, rate, mse_shift, learn
        local_errors: dict[tuple[int, int], np.ndarray] = {}
        for step, o in enumerate(outputs):
            while learn and self.rng.random() < local:
                source, at = self.rng.randrange(NETWORK), self.rng.randrange(HISTORY_STEPS)
                own = np.array(random_outputs(self.rng, self.classes))
                last, odd, restart = (bool(self.rng.getrandbits(1)) for _ in range(3))
                await self.step(own, source, at, last, odd, restart, stall=stall)
                self._keep(own, source, at, odd=odd)
                assert self.errors == [], "errors of a local readout for the network's"
                assert self.answer in (None, self._answer()), "a local readout changed the last run's answer"
                local_errors[source, at] = error_step(own, label, mse_shift=mse_shift)[0] * rate
            odd = bool((step + phase) % 2)
            assert self.answer in (None, self._answer()), "the last run's answer changed before the end of this one"
            await self.step(o, NETWORK, step, step == len(outputs) - 1, odd, restart and step == 0, stall=stall)
            error, loss = error_step(o, label, mse_shift=mse_shift)
            self._add(o, loss, restart=restart and step == 0)
            what = f"step {step}, label {label}, rate {rate}, mse_shift {mse_shift}, odd {odd}, o {o.tolist()}"
            if learn:
                self.scaled_losses[step % 2] = rate * min(loss >> ZO_LOSS_SHIFT, ERROR.max)
                assert_equal(self.errors, error * rate, what=f"strobed errors, {what}", seed=bench.seed())
                local_errors[NETWORK, step] = error * rate
                for (source, at), expected in local_errors.items():
                    errors = await self.read_errors(source, at)
                    where = f"errors of source {source}, step {at}, {what}"
                    assert_equal(errors, expected, what=where, seed=bench.seed())
                for parity in range(1 + (step > 0)):
                    dut.read__step.value = parity
                    await ReadOnly()
                    assert int(dut.read__loss.value) == self.scaled_losses[parity], f"loss of parity {parity}, {what}"
                    await FallingEdge(dut.clk)
            else:
                assert self.errors == [], f"errors without learning, {what}"
            self._keep(o, NETWORK, step, odd=odd)
            for (source, pair), expected in self.differences.items():
                dut.read__source.value, dut.read__step.value = source, 2 * pair + self.rng.getrandbits(1)
                difference = await self.read(dut.read__class_, dut.read__difference)
                where = f"differences of source {source}, pair {pair}, {what}"
                assert_equal(difference, expected, what=where, seed=bench.seed())
        await self.check_answer()

    def _keep(self, o: np.ndarray, source: int, step: int, *, odd: bool) -> None:
        """Follow the differences that can be read after a step of the network or of the intermediate readout."""
        if source not in (NETWORK, self.intermediate):
            return
        if odd:
            pair = step // 2 if self.convolves else 0
            self.differences.pop((source, pair), None)
            if source in self.last_outputs:
                self.differences[source, pair] = self.last_outputs[source] - o
        self.last_outputs[source] = o

    def _add(self, o: np.ndarray, loss: int, *, restart: bool) -> None:
        """Sum up a step, modulo what the sums have room for."""
        half = 1 << (OUTPUT_SUM.width - 1)
        self.sums = ((0 if restart else self.sums) + o + half) % (2 * half) - half
        self.loss_sum = ((0 if restart else self.loss_sum) + loss) % (1 << LOSS_SUM_BITS)

    async def check_answer(self) -> None:
        """Compare the sums, after the last step of a run."""
        dut = self.dut
        self.answer = self._answer()
        assert self.answer == (int(self.sums.argmax()), self.loss_sum), f"prediction and loss, seed {bench.seed()}"
        assert_equal(await self.read(dut.answer__sum_class, dut.answer__sum), self.sums, what="sums", seed=bench.seed())

    async def step(
        self,
        o: np.ndarray,
        source: int,
        step: int,
        last: bool,
        odd: bool,
        restart: bool,
        *,
        stall: float,
        others: np.ndarray | None = None,
    ) -> None:
        """Run one step, checking the latency and in every cycle, where given, the errors that are read meanwhile."""
        dut = self.dut
        self.errors = []
        dut.step__source.value, dut.step__step.value, dut.step__last.value, dut.step__start.value = (
            source,
            step,
            last,
            1,
        )
        dut.step__odd.value, dut.step__restart.value = odd, restart
        await FallingEdge(dut.clk)
        dut.step__start.value = 0
        # Sampled with start; later values are ignored.
        for name in ("source", "step", "last", "odd", "restart"):
            signal = getattr(dut, f"step__{name}")
            signal.value = self.rng.getrandbits(len(signal))
        for value in o.tolist():
            dut.readout__valid.value = 0
            while self.rng.random() < stall:
                dut.readout__value.value = self.rng.getrandbits(MEMBRANE.width)
                await self._cycle(others)
                assert dut.progress__done.value == 0
                assert dut.progress__room.value == 0
            dut.readout__valid.value = 1
            dut.readout__value.value = value & ((1 << MEMBRANE.width) - 1)
            await self._cycle(others)
        dut.readout__valid.value = 0
        # The cycle of the last readout is over.
        cycles = 1
        room = []
        while not dut.progress__done.value:
            if dut.progress__room.value:
                room.append(cycles)
            await self._cycle(others)
            cycles += 1
            assert cycles < 1000
        assert int(dut.progress__source.value) == source
        learn = bool(dut.settings__learn.value)
        assert cycles == (2 * self.classes + BUSY_CYCLES if learn else self.classes + INFERENCE_CYCLES)
        # An idle unit takes the step when it has the last readout.
        assert room == [1], f"room in cycles {room} of {cycles}"

    async def _cycle(self, others: np.ndarray | None) -> None:
        k = self.rng.randrange(self.classes)
        self.dut.read__class_.value = k
        await FallingEdge(self.dut.clk)
        assert others is None or self.dut.read__error.value.to_signed() == others[k]

    def _answer(self) -> tuple[int, int]:
        return int(self.dut.answer__prediction.value), int(self.dut.answer__loss.value)

    async def read_errors(self, source: int, step: int) -> list[int]:
        """Error memory of a source and step."""
        self.dut.read__source.value, self.dut.read__step.value = source, step
        return await self.read(self.dut.read__class_, self.dut.read__error)

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
            error = unpack(ERROR_STROBE, int(self.dut.error.value))
            if self.dut.rst.value:
                self.errors = []
            elif error["valid"]:
                assert error["class_"] == len(self.errors), "errors out of order"
                self.errors.append(error["value"])
            else:
                assert len(self.errors) in (0, self.classes), "errors with a gap"


def corner_outputs(classes: int) -> list[list[int]]:
    """Readouts at the ends of what can happen: all equal, one alone, far apart, one step apart."""
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
    """Readouts with spreads from a few units to everything."""
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
