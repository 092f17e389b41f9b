"""One run through the core, in the chip's order of operations and random draws.

A run is a frame sample or a chunk of events. ``docs/machine.md`` has the schedule. The skew between layers matters here
only because it determines the order in which the random generators are drawn.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from opzo.sim.golden.error import error_step
from opzo.sim.golden.feedback import credit, feedback_sum
from opzo.sim.golden.feedback_scale import feedback_shift
from opzo.sim.golden.fire import fire
from opzo.sim.golden.hidden import Hidden
from opzo.sim.golden.integrate import integrate
from opzo.sim.golden.learn import learn
from opzo.sim.golden.local_readout import local_readout
from opzo.sim.golden.readouts import Readouts
from opzo.sim.golden.saturate import saturate
from opzo.sim.golden.update import update_rows
from opzo.sim.golden.windows import Windows
from opzo.spec.commands import RunFlag
from opzo.spec.events import Chunk
from opzo.spec.formats import (
    BIAS_INPUT,
    BLOCK_SUM,
    BLOCK_SUM_SHIFT,
    CREDIT,
    DIFFERENCE_SHIFT,
    DRAW_BITS,
    ERROR,
    FEEDBACK_REFRESH,
    LOSS_SUM_BITS,
    OUTPUT_SUM,
    SPIKE_INPUT,
    ZO_FACTOR,
    ZO_LOSS_SHIFT,
)
from opzo.spec.geometry import CELL_BITS
from opzo.spec.layout import Layer
from opzo.spec.registers import Counter, LayerReg, Reg, layer_register
from opzo.spec.rules import Input

if TYPE_CHECKING:
    from opzo.sim.golden.core import GoldenCore


def run_chunk(core: GoldenCore, chunk: Chunk, label: int, flags: RunFlag) -> tuple[int, int, tuple[int, ...]]:
    """Run a frame or a chunk of events; prediction, summed loss, summed readouts. Changes the core's state."""
    return complete(Run(core, chunk, label, flags))


def complete(run: Run) -> tuple[int, int, tuple[int, ...]]:
    """Carry a run out; prediction, summed loss, summed readouts."""
    run.forward()
    if run.train:
        learn(run)
    return run.finish()


class Run:
    """State of a run."""

    def __init__(self, core: GoldenCore, chunk: Chunk, label: int, flags: RunFlag) -> None:
        self.core, self.chunk, self.label, self.rule = core, chunk, label, core.rule
        self.train = bool(flags & RunFlag.TRAIN)
        kind = Input.of_register(core[Reg.INPUT])
        self.events, self.graded = kind.events, kind.graded
        self.steps = len(chunk.ends) if self.events else core[Reg.STEPS]
        self.classes = core[Reg.CLASSES]
        fresh = bool(flags & RunFlag.FRESH) or not self.events or not core.begun
        *hidden, self.readout = core.layers()
        self.hidden = [Hidden(layer, core, self.steps, fresh=fresh) for layer in hidden]
        core.begin_run(fresh=fresh, decision=fresh or bool(flags & RunFlag.DECISION), graded=self.graded)
        self.network = Readouts(self.steps, core.last_outputs[: self.classes])
        self.intermediate = Readouts(self.steps, core.last_intermediate[: self.classes])
        self.losses = [0] * self.steps
        self.readout_credits = np.zeros((self.steps, self.readout.words, core.limits.lanes), np.int64)
        self.feeds_back = self.train and self.rule.learns_hidden
        self.refresh = self.train and core[Reg.SAMPLES] % FEEDBACK_REFRESH == 0
        self.model_cycles = 0

    def forward(self) -> None:
        """All time steps, with Feedback in training."""
        depth = len(self.hidden)
        frame = None if self.events else self._integrate_frame()
        self.count(Counter.EVENTS, len(self.chunk.addresses))
        self.count(Counter.STEPS, self.steps)
        for macro in range(self.steps + depth + 1):
            if macro < self.steps:
                self._fire(0, macro, *(self._integrate_events(macro) if frame is None else frame))
            if self.feeds_back:
                self._local_readout(0, macro - 1)
            for index in range(1, depth):
                if 0 <= macro - index < self.steps:
                    self._fire(index, macro - index, *self._integrate_spikes(index, macro - index))
            if 0 <= macro - depth < self.steps:
                self._readout(macro - depth)
            for index in range(depth if self.feeds_back else 0):
                if index:
                    self._local_readout(index, macro - index - 1)
                if macro > depth:
                    self._feedback(index, macro - depth - 1)

    def finish(self) -> tuple[int, int, tuple[int, ...]]:
        """End the run: state that is carried over, counters of runs, answer."""
        core = self.core
        core.end_run(self.steps)
        self.network.last[...] = self.network.outputs[-1]
        if self.feeds_back and core[Reg.INTERMEDIATE]:
            self.intermediate.last[...] = self.intermediate.outputs[-1]
        if self.train:
            core.registers[int(Reg.SAMPLES)] = (core[Reg.SAMPLES] + 1) & 0xFFFFFFFF
        core.counters.add(Counter.TRAIN_RUNS if self.train else Counter.TEST_RUNS, 1)
        core.counters.add(Counter.TRAIN_CYCLES if self.train else Counter.TEST_CYCLES, self.model_cycles)
        half = 1 << (OUTPUT_SUM.width - 1)
        sums = (core.output_sums[: self.classes] + self.network.outputs.sum(axis=0) + half) % (2 * half) - half
        core.output_sums[: self.classes] = sums
        core.loss_sum = (core.loss_sum + sum(self.losses)) % (1 << LOSS_SUM_BITS)
        return int(sums.argmax()), core.loss_sum, tuple(sums.tolist())

    def count(self, counter: Counter, amount: int) -> None:
        """Count."""
        self.core.counters.add(counter, amount)

    def work(self, counter: Counter, amount: int) -> None:
        """Count row-words or entries; each is a cycle of the cost model."""
        self.count(counter, amount)
        self.model_cycles += amount

    def count_words(self, counter: Counter, saturated: np.ndarray) -> None:
        """Count the words (last axis: lanes) in which some lane saturated."""
        if saturated.any():
            self.count(counter, int(saturated.any(axis=-1).sum()))

    def stride(self, index: int) -> int:
        """Numbers of a position of the neurons below weight layer ``index`` (`Windows`)."""
        if index:
            return self.hidden[index - 1].layer.words * self.core.limits.lanes
        layer = self.hidden[0].layer
        return layer.shape.below.channels

    def _odd(self, step: int) -> bool:
        """Whether a step is the second of an antithetic pair; pairs may begin in one run and end in the next."""
        return bool((self.core.phase + step) % 2)

    def _integrate(
        self, index: int, neurons: np.ndarray, values: np.ndarray, bias: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Input current of weight layer ``index`` from the values of some neurons below, and where it saturated."""
        layer = self._layer(index)
        weights, windows = self.core.weights(layer), Windows(layer, neurons, self.stride(index))
        current = np.zeros((layer.all_words, self.core.limits.lanes), np.int64)
        saturated = np.zeros(current.shape, bool)
        pool = layer.shape.pool
        for position in range(layer.positions):
            entries, rows = windows[position]
            some = np.append(rows, layer.rows - 1)
            factors = np.append(values[entries], bias << CELL_BITS * pool)
            words = slice(position * layer.words, (position + 1) * layer.words)
            current[words], saturated[words] = integrate(weights[:, some], factors, pool=pool)
            self.work(Counter.INTEGRATE, layer.words * len(some))
            if layer.convolution:
                self.model_cycles += layer.words * windows.spans(position)
        return current, saturated

    def _layer(self, index: int) -> Layer:
        """Weight layer ``index``, the readout last."""
        return self.hidden[index].layer if index < len(self.hidden) else self.readout

    def _integrate_frame(self) -> tuple[np.ndarray, np.ndarray]:
        """Input current of all steps; its saturations are not counted."""
        current, _ = self._integrate(0, self.chunk.addresses, self.chunk.values, BIAS_INPUT)
        self.count(Counter.FIRE, self.steps * self.hidden[0].layer.all_words)
        return current, np.zeros_like(current, bool)

    def _integrate_events(self, step: int) -> tuple[np.ndarray, np.ndarray]:
        """Input current of a step from its events, and where it saturated."""
        ends = self.chunk.ends
        part = slice(ends[step - 1] if step else 0, ends[step])
        addresses, values = self.chunk.addresses[part], self.chunk.values[part]
        if self.graded:
            self.core.input_traces.mark_graded(addresses, values)
        else:
            self.core.input_traces.mark(addresses, step)
            values = np.full(len(addresses), SPIKE_INPUT)
        return self._integrate(0, addresses, values, SPIKE_INPUT)

    def _integrate_spikes(self, index: int, step: int) -> tuple[np.ndarray, np.ndarray]:
        """Input current of weight layer ``index`` > 0 from the spikes below, and where it saturated."""
        neurons = np.flatnonzero(self.hidden[index - 1].spikes[step])
        return self._integrate(index, neurons, np.full(len(neurons), SPIKE_INPUT), SPIKE_INPUT)

    def _fire(self, index: int, step: int, current: np.ndarray, saturated: np.ndarray) -> None:
        hidden, core = self.hidden[index], self.core
        noise = self.train and self.rule.noise
        if noise and not self._odd(step):
            draws = core.lfsrs.draw(hidden.layer.all_words)
            hidden.negative[...] = draws >> (DRAW_BITS - 1) == 0
        hidden.negatives[step] = hidden.negative
        sign = np.where(hidden.negative ^ self._odd(step), -1, 1) * noise
        layer = hidden.layer
        fired = fire(hidden.v, current, sign * core[Reg.ALPHA], hidden.valid, layer.leak, layer.reset)
        hidden.v[...], hidden.surrogate[step], hidden.spikes[step] = fired.v, fired.surrogate, fired.spikes
        first = core.traces[index].mark(np.flatnonzero(fired.spikes), step)
        self.count(Counter(Counter.SPIKES_1 + index), int(fired.spikes.sum()))
        if self.train:
            self.count(Counter(Counter.ACTIVE_1 + index), first)
        self.count_words(Counter.MEMBRANE_SATURATIONS, fired.saturated | (saturated & hidden.valid))

    def _readout(self, step: int) -> None:
        output, saturated = self._integrate_spikes(len(self.hidden), step)
        exists = np.arange(saturated.size).reshape(saturated.shape) < self.classes
        self.count_words(Counter.MEMBRANE_SATURATIONS, saturated & exists)
        network = self.network
        network.outputs[step] = output.reshape(-1)[: self.classes]
        error, loss = error_step(network.outputs[step], self.label, mse_shift=self.core[Reg.MSE_SHIFT])
        network.errors[step] = np.asarray(error) * self.core[Reg.RATE]
        self.losses[step] = loss
        credits, _ = saturate(network.errors[step], CREDIT.width)
        self.readout_credits[step].reshape(-1)[: self.classes] = credits

    def _local_readout(self, index: int, step: int) -> None:
        """Error of a layer's local readout (paper appendix C.1), if the layer has one and the run has ``step``."""
        hidden, core = self.hidden[index], self.core
        if not hidden.layer.local or not 0 <= step < self.steps:
            return
        spikes = hidden.block_sums(hidden.spikes[step])
        output = local_readout(core.local(hidden.layer), spikes, hidden.block_bits)
        self.work(Counter.FEEDBACK, len(spikes) * self.classes)
        error, _ = error_step(output, self.label, mse_shift=core[Reg.MSE_SHIFT])
        hidden.local_errors.append(error * core[Reg.RATE])
        if index + 1 == core[Reg.INTERMEDIATE]:
            self.intermediate.outputs[step], self.intermediate.errors[step] = output, hidden.local_errors[step]

    def _matrices(self, hidden: Hidden) -> list[tuple[np.ndarray, Readouts]]:
        """Feedback matrices of a layer, (blocks x words, classes, lanes), with the readouts whose errors they carry."""
        matrices = [(self.core.feedback(hidden.layer), self.network)]
        if hidden.layer.intermediate:
            matrices.append((self.core.intermediate(hidden.layer), self.intermediate))
        return matrices

    def _feedback(self, index: int, step: int) -> None:
        hidden, core = self.hidden[index], self.core
        layer = hidden.layer
        words = layer.block_words
        shared = np.zeros((words, core.limits.lanes), np.int64)
        if self.rule.feedback:
            shift = core.registers[layer_register(index, LayerReg.FEEDBACK_SHIFT)]
            matrices = self._matrices(hidden)
            for entries, readouts in matrices:
                shared += feedback_sum(entries, shift, readouts.errors[step])
                self.work(Counter.FEEDBACK, words * self.classes)
            if step == 0 and self.refresh:
                # One shift for both: they are estimates of gradients in the same unit, which are added.
                hidden.shift = feedback_shift(np.stack([entries[:, :, 0] for entries, _ in matrices]))
        if layer.local:
            shift = core.registers[layer_register(index, LayerReg.LOCAL_SHIFT)]
            shared += feedback_sum(core.local(layer), shift, hidden.local_errors[step])
            self.work(Counter.FEEDBACK, words * self.classes)
        if layer.convolution:
            shared = saturate(shared >> BLOCK_SUM_SHIFT, BLOCK_SUM.width)[0] << BLOCK_SUM_SHIFT
        total = hidden.of_blocks(shared)
        if self.rule.from_loss:
            loss = min(self.losses[step] >> ZO_LOSS_SHIFT, ERROR.max) * core[Reg.RATE]
            total = total + hidden.signs(step) * (-1 if self._odd(step) else 1) * ZO_FACTOR * loss
            # Credits of a convolution are made while Learn reads them.
            self.work(Counter.FEEDBACK, layer.block_words)
        self._update_entries(hidden, step)
        result, saturated = credit(total, hidden.surrogate[step], hidden.spikes[step], core[Reg.ACTIVITY], hidden.valid)
        hidden.credits[step] = result
        self.count_words(Counter.CREDIT_SATURATIONS, saturated)

    def _update_entries(self, hidden: Hidden, step: int) -> None:
        """Gradient step of the local readout; momentum update of the feedback matrices from an antithetic pair
        of steps."""
        local = hidden.layer.local
        matrices = self._matrices(hidden) if self.rule.momentum and self._odd(step) else []
        shape = (hidden.layer.block_words, local + len(matrices), self.classes, self.core.limits.lanes)
        draws = self.core.lfsrs.draw(math.prod(shape[:-1])).reshape(shape)
        if local:
            spikes = hidden.block_sums(hidden.spikes[step])
            update = (spikes[:, None] * hidden.local_errors[step][:, None]) >> hidden.block_bits
            self._update_set(self.core.local(hidden.layer), update, draws[:, 0], None)
        for number, (entries, readouts) in enumerate(matrices, int(local)):
            # M += z (o[t-1] - o[t]) (paper eq. 7); the noise of a block is the sum over its neurons, which grows as the
            # square root of their number.
            scaled = readouts.difference(step) << DIFFERENCE_SHIFT
            signs = hidden.block_sums(hidden.signs(step))
            update = (-signs[:, None, :] * scaled[:, None]) >> (hidden.block_bits // 2)
            self._update_set(entries, update, draws[:, number], Reg.LEAK_SHIFT)

    def _update_set(self, entries: np.ndarray, update: np.ndarray, draws: np.ndarray, decay: Reg | None) -> None:
        entries[...], saturated = self.update_rows(entries, update, draws, decay)
        self.count_words(Counter.FEEDBACK_SATURATIONS, saturated)

    def update_rows(
        self, rows: np.ndarray, update: np.ndarray, draws: np.ndarray, decay: Reg | None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Changed row-words, and where they saturated; ``decay`` names the register of the decay."""
        shift = self.core[decay] if decay else 0
        return update_rows(rows, update, draws, shift, weight_bits=self.core.limits.weight_bits)
