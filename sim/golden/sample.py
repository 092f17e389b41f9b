"""The sequencer: one sample through the core, in the chip's order of operations and random draws.

``docs/machine.md`` tells the schedule; the skew between layers matters here only because it fixes the order in which
the random generators are drawn.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from opzo.sim.golden.credit import event_update, filter_credit, spike_update
from opzo.sim.golden.error import error_step
from opzo.sim.golden.feedback import credit, feedback_sum
from opzo.sim.golden.fire import fire
from opzo.sim.golden.integrate import integrate
from opzo.sim.golden.local import local_read_out
from opzo.sim.golden.saturate import saturate
from opzo.sim.golden.scale import feedback_shift
from opzo.sim.golden.spikes import extend_active, step_list, update_history
from opzo.sim.golden.update import update_rows
from opzo.spec.formats import (
    BIAS_INPUT,
    CREDIT,
    DIFFERENCE_SHIFT,
    DRAW_BITS,
    ERROR,
    FEEDBACK_REFRESH,
    SPIKE_INPUT,
    ZO_FACTOR,
    ZO_LOSS_SHIFT,
)
from opzo.spec.network import Layer, Rule
from opzo.spec.registers import Counter, LayerReg, Reg, layer_register

if TYPE_CHECKING:
    from opzo.sim.golden.core import GoldenCore


def run_sample(
    core: GoldenCore, events: list[tuple[int, int]], label: int, train: bool
) -> tuple[int, int, tuple[int, ...]]:
    """Run one sample; prediction, summed loss, summed read-outs. Changes the core's state."""
    sample = _Sample(core, events, label, train)
    sample.forward()
    if train:
        sample.learn()
    return sample.finish()


class _Hidden:
    """What one hidden layer remembers during a sample."""

    def __init__(self, layer: Layer, lanes: int, steps: int) -> None:
        shape = (layer.words, lanes)
        self.layer = layer
        self.valid = _valid(layer, lanes)
        self.v = np.zeros(shape, np.int64)
        self.noise = np.zeros(shape, np.int64)
        """Sign of the pair's even step: +-1; 0 without noise."""
        self.spikes = np.zeros((steps, *shape), bool)
        self.surrogate = np.zeros((steps, *shape), np.int64)
        self.signs = np.zeros((steps, *shape), np.int64)
        self.credits = np.zeros((steps, *shape), np.int64)
        self.local_errors: list[np.ndarray] = []
        """Scaled errors of the local read-out by step: int (classes,)."""
        self.active = np.zeros(0, np.int64)
        self.shift: int | None = None
        """Feedback shift that comes into force after the sample; None: the old one."""


class _Sample:
    """One sample on its way through the core."""

    def __init__(self, core: GoldenCore, events: list[tuple[int, int]], label: int, train: bool) -> None:
        self.core, self.label, self.train, self.rule = core, label, train, core.rule
        self.steps, self.classes = core[Reg.STEPS], core[Reg.CLASSES]
        lanes = core.limits.lanes
        *hidden, self.readout = core.layers()
        self.hidden = [_Hidden(layer, lanes, self.steps) for layer in hidden]
        bias = hidden[0].rows - 1
        self.rows = np.array([address for address, _ in events] + [bias])
        self.values = np.array([value for _, value in events] + [BIAS_INPUT])
        self.outputs = np.zeros((self.steps, self.classes), np.int64)
        self.errors = np.zeros((self.steps, self.classes), np.int64)
        self.losses = [0] * self.steps
        self.readout_credits = np.zeros((self.steps, self.readout.words, lanes), np.int64)
        self.refresh = train and core[Reg.SAMPLES] % FEEDBACK_REFRESH == 0
        self.model_cycles = 0

    def forward(self) -> None:
        """All time steps, with Feedback in training."""
        depth = len(self.hidden)
        current, _ = self._integrate(self.hidden[0].layer, self.rows, self.values)
        self.core.counters.add(Counter.EVENTS, len(self.rows) - 1)
        feedback = self.train and self.rule is not Rule.READOUT
        for macro in range(self.steps + depth + 1):
            if macro < self.steps:
                self._count(Counter.FIRE, self.hidden[0].layer.words)
                self._fire(0, macro, current, np.zeros_like(current, bool))
            if 0 <= macro - depth < self.steps:
                self._read_out(macro - depth)
            for index in range(1, depth):
                if 0 <= macro - index < self.steps:
                    self._fire(index, macro - index, *self._integrate_spikes(index, macro - index))
            for index in range(depth if feedback else 0):
                if self.hidden[index].layer.local and 0 <= macro - index - 1 < self.steps:
                    self._local_read_out(index, macro - index - 1)
                if macro > depth:
                    self._feedback(index, macro - depth - 1)

    def learn(self) -> None:
        """Update the weights, read-out first."""
        core = self.core
        readout = filter_credit(self.readout_credits)
        self._learn_spikes(self.readout, self.hidden[-1], readout)
        if self.rule is Rule.READOUT:
            return
        for index in range(len(self.hidden) - 1, -1, -1):
            hidden = self.hidden[index]
            filtered = filter_credit(hidden.credits)
            if index:
                self._learn_spikes(hidden.layer, self.hidden[index - 1], filtered)
            else:
                self._learn(hidden.layer, self.rows, event_update(filtered, self.values))
            if hidden.shift is not None:
                core.registers[layer_register(index, LayerReg.FEEDBACK_SHIFT)] = hidden.shift

    def finish(self) -> tuple[int, int, tuple[int, ...]]:
        """Close the sample: state that stays, sample counters, answer."""
        core = self.core
        for hidden in self.hidden:
            base = hidden.layer.word_base
            core.membrane[base : base + hidden.layer.words] = hidden.v
        if self.train:
            core.registers[int(Reg.SAMPLES)] = (core[Reg.SAMPLES] + 1) & 0xFFFFFFFF
        core.counters.add(Counter.TRAIN_SAMPLES if self.train else Counter.TEST_SAMPLES, 1)
        core.counters.add(Counter.TRAIN_CYCLES if self.train else Counter.TEST_CYCLES, self.model_cycles)
        sums = self.outputs.sum(axis=0)
        return int(sums.argmax()), sum(self.losses), tuple(sums.tolist())

    def _count(self, counter: Counter, amount: int) -> None:
        self.core.counters.add(counter, amount)

    def _work(self, counter: Counter, amount: int) -> None:
        """Count row-words or entries, which are the cost model's cycles."""
        self._count(counter, amount)
        self.model_cycles += amount

    def _count_words(self, counter: Counter, saturated: np.ndarray) -> None:
        """Count the words (last axis: lanes) in which some lane saturated."""
        if saturated.any():
            self._count(counter, int(saturated.any(axis=-1).sum()))

    def _integrate(self, layer: Layer, rows: np.ndarray, values: np.ndarray | int) -> tuple[np.ndarray, np.ndarray]:
        self._work(Counter.INTEGRATE, layer.words * len(rows))
        return integrate(self.core.weights(layer)[:, rows], values)

    def _integrate_spikes(self, index: int, step: int) -> tuple[np.ndarray, np.ndarray]:
        """Input current of hidden layer ``index`` (the read-out for index = depth), and where it saturated."""
        below = self.hidden[index - 1]
        layer = self.hidden[index].layer if index < len(self.hidden) else self.readout
        rows = np.append(step_list(below.spikes[step]), layer.rows - 1)
        return self._integrate(layer, rows, SPIKE_INPUT)

    def _fire(self, index: int, step: int, current: np.ndarray, saturated: np.ndarray) -> None:
        hidden, core = self.hidden[index], self.core
        if self.train and self.rule.noise and step % 2 == 0:
            draws = core.lfsrs.draw(hidden.layer.words)
            hidden.noise = 2 * (draws >> (DRAW_BITS - 1)).astype(np.int64) - 1
        sign = hidden.noise if step % 2 == 0 else -hidden.noise
        fired = fire(hidden.v, current, sign * core[Reg.ALPHA], hidden.valid)
        hidden.v, hidden.surrogate[step], hidden.signs[step] = fired.v, fired.surrogate, sign
        first = fired.spikes & ~hidden.spikes[:step].any(axis=0)
        hidden.spikes[step] = fired.spikes
        hidden.active = extend_active(hidden.active, first)
        words = slice(hidden.layer.word_base, hidden.layer.word_base + hidden.layer.words)
        core.history[words] = update_history(core.history[words], fired.spikes, first, step=step)
        self._count(Counter(Counter.SPIKES_1 + index), int(fired.spikes.sum()))
        if self.train:
            self._count(Counter(Counter.ACTIVE_1 + index), int(first.sum()))
        self._count_words(Counter.MEMBRANE_SATURATIONS, fired.saturated | saturated)

    def _read_out(self, step: int) -> None:
        output, saturated = self._integrate_spikes(len(self.hidden), step)
        self._count_words(Counter.MEMBRANE_SATURATIONS, saturated)
        self.outputs[step] = output.reshape(-1)[: self.classes]
        error, loss = error_step(self.outputs[step], self.label, mse_shift=self.core[Reg.MSE_SHIFT])
        self.errors[step] = np.asarray(error) * self.core[Reg.RATE]
        self.losses[step] = loss
        credits, _ = saturate(self.errors[step], CREDIT.width)
        self.readout_credits[step].reshape(-1)[: self.classes] = credits

    def _local_read_out(self, index: int, step: int) -> None:
        """Error of a layer's own read-out (paper appendix C.1)."""
        hidden, core = self.hidden[index], self.core
        output = local_read_out(core.local(hidden.layer), hidden.spikes[step])
        self._work(Counter.FEEDBACK, hidden.layer.words * self.classes)
        error, _ = error_step(output, self.label, mse_shift=core[Reg.MSE_SHIFT])
        hidden.local_errors.append(error * core[Reg.RATE])

    def _feedback(self, index: int, step: int) -> None:
        hidden, core = self.hidden[index], self.core
        if self.rule is Rule.ZO:
            loss = min(self.losses[step] >> ZO_LOSS_SHIFT, ERROR.max) * core[Reg.RATE]
            total = hidden.signs[step] * ZO_FACTOR * loss
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
        """Gradient step of the local read-out; momentum update of M from an antithetic pair of steps."""
        local, momentum = hidden.layer.local, self.rule is Rule.OPZO and step % 2 == 1
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
            difference = self.outputs[step - 1] - self.outputs[step]
            scaled = difference << DIFFERENCE_SHIFT
            update = -(hidden.signs[step - 1] * hidden.valid)[:, None, :] * scaled[:, None]
            entries[...], saturated = self._update_rows(entries, update, draws[:, -self.classes :], Reg.LEAK_SHIFT)
            self._count_words(Counter.FEEDBACK_SATURATIONS, saturated)

    def _learn_spikes(self, layer: Layer, below: _Hidden, filtered: np.ndarray) -> None:
        """Learn with rows of a hidden layer below; the bias row spiked in every step."""
        base = below.layer.word_base
        histories = self.core.history[base : base + below.layer.words].reshape(-1)[below.active]
        histories = np.append(histories, (1 << self.steps) - 1).astype(np.int64)
        self._learn(layer, np.append(below.active, layer.rows - 1), spike_update(filtered, histories))

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


def _valid(layer: Layer, lanes: int) -> np.ndarray:
    """bool (words, lanes): where a neuron is."""
    return np.arange(layer.words * lanes).reshape(layer.words, lanes) < layer.neurons
