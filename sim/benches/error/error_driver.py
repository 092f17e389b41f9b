"""Driver of the error unit for its testbench."""

from random import Random
from typing import Any

import cocotb
import numpy as np
from cocotb.triggers import FallingEdge, ReadOnly

from opzo.hw.error.ports import ERROR_STROBE
from opzo.sim.benches import bench
from opzo.sim.benches.compare import assert_equal
from opzo.sim.benches.error.outputs import random_outputs
from opzo.sim.benches.streams import unpack
from opzo.sim.golden.error import error_step
from opzo.spec.formats import ERROR, HISTORY_STEPS, LOSS_SUM_BITS, MEMBRANE, OUTPUT_SUM, ZO_LOSS_SHIFT
from opzo.spec.limits import USUAL_HIDDEN

NETWORK = USUAL_HIDDEN
"""Source of the network's readouts in a usual device."""
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
