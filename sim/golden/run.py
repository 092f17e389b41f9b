"""One run through the core, in the chip's order of operations and random draws.

A run is a frame sample or a chunk of events. ``docs/machine.md`` has the schedule. The skew between layers matters here
only because it determines the order in which the random generators are drawn.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from opzo.sim.golden.credit import filter_credit, frame_update, spike_update, trace_update
from opzo.sim.golden.error import error_step
from opzo.sim.golden.feedback import credit, feedback_sum
from opzo.sim.golden.feedback_scale import feedback_shift
from opzo.sim.golden.fire import fire
from opzo.sim.golden.integrate import integrate
from opzo.sim.golden.local_readout import local_readout
from opzo.sim.golden.saturate import saturate
from opzo.sim.golden.traces import Traces
from opzo.sim.golden.update import update_rows
from opzo.spec.commands import RunFlag
from opzo.spec.events import Chunk
from opzo.spec.formats import (
    BIAS_INPUT,
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
from opzo.spec.network import Layer
from opzo.spec.registers import Counter, LayerReg, Reg, layer_register
from opzo.spec.rules import Input

if TYPE_CHECKING:
    from opzo.sim.golden.core import GoldenCore


def run_chunk(core: GoldenCore, chunk: Chunk, label: int, flags: RunFlag) -> tuple[int, int, tuple[int, ...]]:
    """Run a frame or a chunk of events; prediction, summed loss, summed readouts. Changes the core's state."""
    run = _Run(core, chunk, label, flags)
    run.forward()
    if run.train:
        run.learn()
    return run.finish()


class _Hidden:
    """State of a hidden layer during a run."""

    def __init__(self, layer: Layer, core: GoldenCore, steps: int, *, fresh: bool) -> None:
        shape = (layer.words, core.limits.lanes)
        words = slice(layer.word_base, layer.word_base + layer.words)
        self.layer = layer
        self.valid = np.arange(layer.words * core.limits.lanes).reshape(shape) < layer.neurons
        self.v, self.negative = core.membrane[words], core.negative[words]
        if fresh:
            self.v[...], self.negative[...] = 0, False
        self.spikes = np.zeros((steps, *shape), bool)
        self.surrogate = np.zeros((steps, *shape), np.int64)
        self.negatives = np.zeros((steps, *shape), bool)
        """Sign of the noise in the pair's even step, by step."""
        self.credits = np.zeros((steps, *shape), np.int64)
        self.local_errors: list[np.ndarray] = []
        """Scaled errors of the local readout by step: int (classes,)."""
        self.shift: int | None = None
        """Feedback shift from the next run on; None: unchanged."""

    def signs(self, step: int) -> np.ndarray:
        """Sign of the noise in the even step of a pair: +-1."""
        return np.where(self.negatives[step], -1, 1)


class _Run:
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
        self.hidden = [_Hidden(layer, core, self.steps, fresh=fresh) for layer in hidden]
        core.begin_run(fresh=fresh, decision=fresh or bool(flags & RunFlag.DECISION), graded=self.graded)
        self.outputs = np.zeros((self.steps, self.classes), np.int64)
        self.errors = np.zeros((self.steps, self.classes), np.int64)
        self.losses = [0] * self.steps
        self.readout_credits = np.zeros((self.steps, self.readout.words, core.limits.lanes), np.int64)
        self.refresh = self.train and core[Reg.SAMPLES] % FEEDBACK_REFRESH == 0
        self.model_cycles = 0

    def forward(self) -> None:
        """All time steps, with Feedback in training."""
        depth = len(self.hidden)
        frame = None if self.events else self._integrate_frame()
        self._count(Counter.EVENTS, len(self.chunk.addresses))
        self._count(Counter.STEPS, self.steps)
        feedback = self.train and self.rule.learns_hidden
        for macro in range(self.steps + depth + 1):
            if macro < self.steps:
                self._fire(0, macro, *(self._integrate_events(macro) if frame is None else frame))
            if feedback:
                self._local_readout(0, macro - 1)
            for index in range(1, depth):
                if 0 <= macro - index < self.steps:
                    self._fire(index, macro - index, *self._integrate_spikes(index, macro - index))
            if 0 <= macro - depth < self.steps:
                self._readout(macro - depth)
            for index in range(depth if feedback else 0):
                if index:
                    self._local_readout(index, macro - index - 1)
                if macro > depth:
                    self._feedback(index, macro - depth - 1)

    def learn(self) -> None:
        """Update the weights, readout first."""
        core = self.core
        self._learn_spikes(self.readout, core.traces[len(self.hidden) - 1], filter_credit(self.readout_credits))
        if not self.rule.learns_hidden:
            return
        for index in range(len(self.hidden) - 1, -1, -1):
            hidden = self.hidden[index]
            filtered = filter_credit(hidden.credits)
            if index or self.events:
                below = core.traces[index - 1] if index else core.input_traces
                self._learn_spikes(hidden.layer, below, filtered, graded=self.graded and index == 0)
            else:
                self._learn(hidden.layer, self.rows, frame_update(filtered, self.values))
            if hidden.shift is not None:
                core.registers[layer_register(index, LayerReg.FEEDBACK_SHIFT)] = hidden.shift

    def finish(self) -> tuple[int, int, tuple[int, ...]]:
        """End the run: state that is carried over, counters of runs, answer."""
        core = self.core
        core.end_run(self.steps, self.outputs[-1])
        if self.train:
            core.registers[int(Reg.SAMPLES)] = (core[Reg.SAMPLES] + 1) & 0xFFFFFFFF
        core.counters.add(Counter.TRAIN_RUNS if self.train else Counter.TEST_RUNS, 1)
        core.counters.add(Counter.TRAIN_CYCLES if self.train else Counter.TEST_CYCLES, self.model_cycles)
        half = 1 << (OUTPUT_SUM.width - 1)
        sums = (core.output_sums[: self.classes] + self.outputs.sum(axis=0) + half) % (2 * half) - half
        core.output_sums[: self.classes] = sums
        core.loss_sum = (core.loss_sum + sum(self.losses)) % (1 << LOSS_SUM_BITS)
        return int(sums.argmax()), core.loss_sum, tuple(sums.tolist())

    def _count(self, counter: Counter, amount: int) -> None:
        self.core.counters.add(counter, amount)

    def _work(self, counter: Counter, amount: int) -> None:
        """Count row-words or entries; each is a cycle of the cost model."""
        self._count(counter, amount)
        self.model_cycles += amount

    def _count_words(self, counter: Counter, saturated: np.ndarray) -> None:
        """Count the words (last axis: lanes) in which some lane saturated."""
        if saturated.any():
            self._count(counter, int(saturated.any(axis=-1).sum()))

    def _odd(self, step: int) -> bool:
        """Whether a step is the second of an antithetic pair; pairs may begin in one run and end in the next."""
        return bool((self.core.phase + step) % 2)

    def _integrate(self, layer: Layer, rows: np.ndarray, values: np.ndarray | int) -> tuple[np.ndarray, np.ndarray]:
        self._work(Counter.INTEGRATE, layer.words * len(rows))
        return integrate(self.core.weights(layer)[:, rows], values)

    def _integrate_frame(self) -> tuple[np.ndarray, np.ndarray]:
        """Input current of all steps; its saturations are not counted."""
        layer = self.hidden[0].layer
        self.rows = np.append(self.chunk.addresses, layer.rows - 1)
        self.values = np.append(self.chunk.values, BIAS_INPUT)
        current, _ = self._integrate(layer, self.rows, self.values)
        self._count(Counter.FIRE, self.steps * layer.words)
        return current, np.zeros_like(current, bool)

    def _integrate_events(self, step: int) -> tuple[np.ndarray, np.ndarray]:
        """Input current of a step from its events, and where it saturated."""
        layer, ends = self.hidden[0].layer, self.chunk.ends
        part = slice(ends[step - 1] if step else 0, ends[step])
        rows, values = self.chunk.addresses[part], self.chunk.values[part]
        if self.graded:
            self.core.input_traces.mark_graded(rows, values)
        else:
            self.core.input_traces.mark(rows, step)
            values = np.full(len(rows), SPIKE_INPUT)
        return self._integrate(layer, np.append(rows, layer.rows - 1), np.append(values, SPIKE_INPUT))

    def _integrate_spikes(self, index: int, step: int) -> tuple[np.ndarray, np.ndarray]:
        """Input current of hidden layer ``index`` (the readout for index = depth), and where it saturated."""
        below = self.hidden[index - 1]
        layer = self.hidden[index].layer if index < len(self.hidden) else self.readout
        rows = np.append(np.flatnonzero(below.spikes[step]), layer.rows - 1)
        return self._integrate(layer, rows, SPIKE_INPUT)

    def _fire(self, index: int, step: int, current: np.ndarray, saturated: np.ndarray) -> None:
        hidden, core = self.hidden[index], self.core
        noise = self.train and self.rule.noise
        if noise and not self._odd(step):
            draws = core.lfsrs.draw(hidden.layer.words)
            hidden.negative[...] = draws >> (DRAW_BITS - 1) == 0
        hidden.negatives[step] = hidden.negative
        sign = np.where(hidden.negative ^ self._odd(step), -1, 1) * noise
        fired = fire(hidden.v, current, sign * core[Reg.ALPHA], hidden.valid)
        hidden.v[...], hidden.surrogate[step], hidden.spikes[step] = fired.v, fired.surrogate, fired.spikes
        first = core.traces[index].mark(np.flatnonzero(fired.spikes), step)
        self._count(Counter(Counter.SPIKES_1 + index), int(fired.spikes.sum()))
        if self.train:
            self._count(Counter(Counter.ACTIVE_1 + index), first)
        self._count_words(Counter.MEMBRANE_SATURATIONS, fired.saturated | (saturated & hidden.valid))

    def _readout(self, step: int) -> None:
        output, saturated = self._integrate_spikes(len(self.hidden), step)
        exists = np.arange(saturated.size).reshape(saturated.shape) < self.classes
        self._count_words(Counter.MEMBRANE_SATURATIONS, saturated & exists)
        self.outputs[step] = output.reshape(-1)[: self.classes]
        error, loss = error_step(self.outputs[step], self.label, mse_shift=self.core[Reg.MSE_SHIFT])
        self.errors[step] = np.asarray(error) * self.core[Reg.RATE]
        self.losses[step] = loss
        credits, _ = saturate(self.errors[step], CREDIT.width)
        self.readout_credits[step].reshape(-1)[: self.classes] = credits

    def _local_readout(self, index: int, step: int) -> None:
        """Error of a layer's local readout (paper appendix C.1), if the layer has one and the run has ``step``."""
        hidden, core = self.hidden[index], self.core
        if not hidden.layer.local or not 0 <= step < self.steps:
            return
        output = local_readout(core.local(hidden.layer), hidden.spikes[step])
        self._work(Counter.FEEDBACK, hidden.layer.words * self.classes)
        error, _ = error_step(output, self.label, mse_shift=core[Reg.MSE_SHIFT])
        hidden.local_errors.append(error * core[Reg.RATE])

    def _feedback(self, index: int, step: int) -> None:
        hidden, core = self.hidden[index], self.core
        if self.rule.from_loss:
            loss = min(self.losses[step] >> ZO_LOSS_SHIFT, ERROR.max) * core[Reg.RATE]
            total = hidden.signs(step) * (-1 if self._odd(step) else 1) * ZO_FACTOR * loss
            self._work(Counter.FEEDBACK, hidden.layer.words)
        else:
            entries = core.feedback(hidden.layer)
            shift = core.registers[layer_register(index, LayerReg.FEEDBACK_SHIFT)]
            total = feedback_sum(entries, shift, self.errors[step])
            self._work(Counter.FEEDBACK, hidden.layer.words * self.classes)
            if step == 0 and self.refresh:
                hidden.shift = feedback_shift(entries[:, :, 0])
        if hidden.layer.local:
            shift = core.registers[layer_register(index, LayerReg.LOCAL_SHIFT)]
            total = total + feedback_sum(core.local(hidden.layer), shift, hidden.local_errors[step])
            self._work(Counter.FEEDBACK, hidden.layer.words * self.classes)
        self._update_entries(hidden, step)
        result, saturated = credit(total, hidden.surrogate[step], hidden.spikes[step], core[Reg.ACTIVITY], hidden.valid)
        hidden.credits[step] = result
        self._count_words(Counter.CREDIT_SATURATIONS, saturated)

    def _update_entries(self, hidden: _Hidden, step: int) -> None:
        """Gradient step of the local readout; momentum update of the feedback matrix from an antithetic pair
        of steps."""
        local, momentum = hidden.layer.local, self.rule.momentum and self._odd(step)
        shape = (hidden.layer.words, self.classes * (local + momentum), self.core.limits.lanes)
        draws = self.core.lfsrs.draw(shape[0] * shape[1]).reshape(shape)
        if local:
            entries = self.core.local(hidden.layer)
            update = hidden.spikes[step][:, None] * hidden.local_errors[step][:, None]
            entries[...], saturated = self._update_rows(entries, update, draws[:, : self.classes], None)
            self._count_words(Counter.FEEDBACK_SATURATIONS, saturated)
        if momentum:
            # M += z (o[t-1] - o[t]) (paper eq. 7).
            entries = self.core.feedback(hidden.layer)
            before = self.outputs[step - 1] if step else self.core.last_outputs[: self.classes]
            scaled = (before - self.outputs[step]) << DIFFERENCE_SHIFT
            update = -(hidden.signs(step) * hidden.valid)[:, None, :] * scaled[:, None]
            entries[...], saturated = self._update_rows(entries, update, draws[:, -self.classes :], Reg.LEAK_SHIFT)
            self._count_words(Counter.FEEDBACK_SATURATIONS, saturated)

    def _learn_spikes(self, layer: Layer, below: Traces, filtered: np.ndarray, *, graded: bool = False) -> None:
        """Learn with the active rows below; the bias row spiked in every step."""
        rows = below.active
        trace, history = (array[rows].astype(np.int64) for array in (below.trace, below.history))
        if graded:
            trace, history = trace + history, np.zeros_like(history)
        trace, history = np.append(trace, self.core.bias_trace), np.append(history, (1 << self.steps) - 1)
        update = spike_update(filtered, history) + trace_update(filtered, trace)
        self._learn(layer, np.append(rows, layer.rows - 1), update)

    def _learn(self, layer: Layer, rows: np.ndarray, update: np.ndarray) -> None:
        weights = self.core.weights(layer)
        draws = self.core.lfsrs.draw(layer.words * len(rows)).reshape(layer.words, len(rows), -1)
        weights[:, rows], saturated = self._update_rows(weights[:, rows], update, draws, Reg.DECAY_SHIFT)
        self._work(Counter.LEARN, layer.words * len(rows))
        self._count_words(Counter.WEIGHT_SATURATIONS, saturated)

    def _update_rows(
        self, rows: np.ndarray, update: np.ndarray, draws: np.ndarray, decay: Reg | None
    ) -> tuple[np.ndarray, np.ndarray]:
        shift = self.core[decay] if decay else 0
        return update_rows(rows, update, draws, shift, weight_bits=self.core.limits.weight_bits)
