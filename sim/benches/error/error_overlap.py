"""Testbench of the error unit: readouts of a step come in while the errors of the step before are computed."""

from collections import deque
from random import Random
from typing import Any, NamedTuple

import cocotb
import numpy as np
from cocotb.triggers import FallingEdge

from opzo.hw.error.error_unit import CLOSING_CYCLES
from opzo.hw.error.ports import ERROR_STROBE
from opzo.sim.benches import bench
from opzo.sim.benches.compare import assert_equal
from opzo.sim.benches.error.error_driver import BUSY_CYCLES, NETWORK
from opzo.sim.benches.error.outputs import random_outputs
from opzo.sim.benches.streams import unpack
from opzo.sim.golden.error import error_step
from opzo.spec.formats import ERROR, HISTORY_STEPS, MEMBRANE, ZO_LOSS_SHIFT

RATE, MSE_SHIFT = 200, 3


class Step(NamedTuple):
    """A step of the network or of a local readout."""

    source: int
    step: int
    last: bool
    o: np.ndarray

    @property
    def network(self) -> bool:
        return self.source == NETWORK


class Feeder:
    """Start steps as early as the unit allows, and check in every cycle something that it has computed."""

    def __init__(self, dut: Any, rng: Random, classes: int) -> None:
        self.dut, self.rng, self.classes = dut, rng, classes
        self.label = rng.randrange(classes)
        self.learn = True
        dut.settings__classes.value = classes
        dut.settings__label.value, dut.settings__rate.value = self.label, RATE
        dut.settings__mse_shift.value = MSE_SHIFT
        dut.answer__sum_class.value = dut.read__class_.value = 0
        self.reset()

    def reset(self) -> None:
        """Forget everything, as the unit does; nothing may be on its way to it."""
        self.dut.step__start.value = self.dut.readout__valid.value = 0
        self.under_way: deque[Step] = deque()
        """Steps that were started and are not done."""
        self.cycle, self.rooms, self.room_cycle = 0, 0, 0
        self.done_cycles: list[int] = []
        self.strobed: list[tuple[int, int]] = []
        """Step and value of the errors since a step was done."""
        self.errors: dict[tuple[int, int], np.ndarray] = {}
        """Errors that can be read, by source and step."""
        self.losses: dict[int, int] = {}
        """Scaled losses that can be read, by parity of the step."""

    async def feed(self, steps: list[Step], stall: float, *, learn: bool) -> None:
        """Send the steps, each with pauses of random length, and wait until all are done."""
        dut, rng = self.dut, self.rng
        dut.settings__learn.value = self.learn = learn
        self.rooms, self.done_cycles = 0, []
        for number, step in enumerate(steps):
            while self.rooms < number or (number and self.cycle < self.room_cycle + CLOSING_CYCLES):
                await self._cycle()
            await self._pause(stall)
            self.errors.pop((step.source, step.step), None)
            if step.network:
                self.losses.pop(step.step % 2, None)
            flags = {"last": step.last, "odd": step.step % 2, "restart": step.step == 0}
            for name, value in {"source": step.source, "step": step.step, **flags}.items():
                getattr(dut, f"step__{name}").value = value
            dut.step__start.value = 1
            self.under_way.append(step)
            await self._cycle()
            dut.step__start.value = 0
            for name in ("source", "step", "last", "odd", "restart"):
                signal = getattr(dut, f"step__{name}")
                signal.value = rng.getrandbits(len(signal))
            for value in step.o.tolist():
                await self._pause(stall)
                dut.readout__valid.value, dut.readout__value.value = 1, value & ((1 << MEMBRANE.width) - 1)
                await self._cycle()
                dut.readout__valid.value, dut.readout__value.value = 0, rng.getrandbits(MEMBRANE.width)
        while self.under_way:
            await self._cycle()
        assert self.rooms == len(steps), f"room for {self.rooms} of {len(steps)} steps"

    async def _pause(self, stall: float) -> None:
        while self.rng.random() < stall:
            await self._cycle()

    async def _cycle(self) -> None:
        """Wait a cycle; read an error of a step that is done, and follow what the unit strobes."""
        dut, rng = self.dut, self.rng
        key = rng.choice([*self.errors]) if self.errors else None
        k = rng.randrange(self.classes)
        if key:
            dut.read__source.value, dut.read__step.value, dut.read__class_.value = *key, k
        await FallingEdge(dut.clk)
        self.cycle += 1
        if key:
            where = f"source {key[0]}, step {key[1]}, seed {bench.seed()}"
            assert dut.read__error.value.to_signed() == self.errors[key][k], f"error of class {k}, {where}"
            if key[1] % 2 in self.losses:
                assert int(dut.read__loss.value) == self.losses[key[1] % 2], f"loss, {where}"
        if dut.progress__room.value:
            self.rooms, self.room_cycle = self.rooms + 1, self.cycle
        error = unpack(ERROR_STROBE, int(dut.error.value))
        if dut.progress__done.value:
            self._finish(int(dut.progress__source.value))
        if error["valid"]:
            assert error["class_"] == len(self.strobed), "errors out of order"
            self.strobed.append((error["step"], error["value"]))

    def _finish(self, source: int) -> None:
        """A step is done."""
        step = self.under_way.popleft()
        assert source == step.source, f"a step of source {source} is done, not of {step.source}"
        self.done_cycles.append(self.cycle)
        errors, loss = error_step(step.o, self.label, mse_shift=MSE_SHIFT)
        strobed = [(step.step, error) for error in (errors * RATE).tolist()] if step.network and self.learn else []
        assert self.strobed == strobed, f"errors strobed in step {step.step} of source {source}, seed {bench.seed()}"
        self.strobed = []
        if self.learn:
            # The errors of a later step may replace them at any time.
            if all((step.source, step.step) != (later.source, later.step) for later in self.under_way):
                self.errors[step.source, step.step] = errors * RATE
            if step.network:
                self.losses[step.step % 2] = RATE * min(loss >> ZO_LOSS_SHIFT, ERROR.max)

    async def check_end(self, steps: list[Step]) -> None:
        """Compare answer, sums and differences after a run with ``steps``."""
        dut = self.dut
        outputs = [step.o for step in steps if step.network]
        sums = np.sum(outputs, axis=0)
        losses = [error_step(o, self.label, mse_shift=MSE_SHIFT)[1] for o in outputs]
        answer = int(dut.answer__prediction.value), int(dut.answer__loss.value)
        assert answer == (int(sums.argmax()), sum(losses)), f"prediction and loss, seed {bench.seed()}"
        last_odd = len(outputs) // 2 * 2 - 1
        for k in range(self.classes):
            dut.answer__sum_class.value = dut.read__class_.value = k
            await FallingEdge(dut.clk)
            assert dut.answer__sum.value.to_signed() == sums[k], f"sum of class {k}, seed {bench.seed()}"
            if last_odd > 0:
                difference = outputs[last_odd - 1][k] - outputs[last_odd][k]
                assert dut.read__difference.value.to_signed() == difference, f"difference, seed {bench.seed()}"


def random_run(rng: Random, classes: int, local: float) -> list[Step]:
    """A run of the network; before each of its steps and after the last, local readouts with probability ``local``."""
    length = rng.choice((1, 2, 5, HISTORY_STEPS))
    steps = []
    for t in range(length + 1):
        while rng.random() < local:
            source = rng.randrange(NETWORK)
            steps.append(Step(source, rng.randrange(HISTORY_STEPS), False, np.array(random_outputs(rng, classes))))
        if t < length:
            steps.append(Step(NETWORK, t, t == length - 1, np.array(random_outputs(rng, classes))))
    return steps


@cocotb.test(timeout_time=100, timeout_unit="ms")
async def takes_readouts_meanwhile(dut: Any) -> None:
    p, rng = bench.parameters(), Random(bench.seed())
    feeder = Feeder(dut, rng, p["classes"])
    await bench.start(dut)
    for number in range(p["samples"]):
        learn = number % 3 > 0
        steps = random_run(rng, p["classes"], 0.6 if learn else 0)
        await feeder.feed(steps, rng.choice((0, 0.5, 0.9)), learn=learn)
        await feeder.check_end(steps)


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def waits_for_nothing_but_the_step_ahead(dut: Any) -> None:
    # Without pauses a step takes as long as its walks and the division; its readouts take no time of their own. Without
    # errors that is so short that the readouts decide.
    p, rng = bench.parameters(), Random(bench.seed())
    classes = p["classes"]
    feeder = Feeder(dut, rng, classes)
    await bench.start(dut)
    for learn, cycles in ((True, 2 * classes + BUSY_CYCLES - 1), (False, classes + CLOSING_CYCLES + 1)):
        outputs = [np.array(random_outputs(rng, classes)) for _ in range(HISTORY_STEPS)]
        steps = [Step(NETWORK, t, t == HISTORY_STEPS - 1, o) for t, o in enumerate(outputs)]
        await feeder.feed(steps, 0, learn=learn)
        assert_equal(np.diff(feeder.done_cycles), np.full(HISTORY_STEPS - 1, cycles), what=f"cycles, learn {learn}")


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def recovers_from_reset_with_two_steps(dut: Any) -> None:
    p, rng = bench.parameters(), Random(bench.seed())
    classes = p["classes"]
    feeder = Feeder(dut, rng, classes)
    await bench.start(dut)
    for cycles in range(3 * classes, 9 * classes + 3 * BUSY_CYCLES, max(3, classes // 2)):
        learn = bool(rng.getrandbits(1))
        steps = [Step(source, 1, False, np.array(random_outputs(rng, classes))) for source in (NETWORK, 0, 1, 2)]
        running = cocotb.start_soon(feeder.feed(steps, 0, learn=learn))
        for _ in range(cycles):
            await FallingEdge(dut.clk)
        running.cancel()
        dut.step__start.value = dut.readout__valid.value = 0
        dut.rst.value = 1
        await FallingEdge(dut.clk)
        dut.rst.value = 0
        feeder.reset()
        await FallingEdge(dut.clk)
        run = random_run(rng, classes, 0.5)
        await feeder.feed(run, 0, learn=True)
        await feeder.check_end(run)
