"""Learn: the pass after the time steps that changes the weights, or the gradients of a convolution."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from opzo.sim.golden.credit import filter_credit, frame_update, spike_update, trace_update
from opzo.sim.golden.gradient import gradient_shift, gradient_step, magnitude_after
from opzo.sim.golden.saturate import saturate
from opzo.sim.golden.traces import Traces
from opzo.sim.golden.windows import Windows
from opzo.spec.formats import BIAS_INPUT, GRADIENT
from opzo.spec.geometry import CELL, CELL_BITS
from opzo.spec.layout import Layer
from opzo.spec.registers import Counter, LayerReg, Reg, layer_register

if TYPE_CHECKING:
    from opzo.sim.golden.run import Run


def learn(run: Run) -> None:
    """Learn in all layers, the readout first."""
    core, depth = run.core, len(run.hidden)
    pending = core[Reg.PENDING] + 1
    full = pending >= core[Reg.BATCH]
    if any(hidden.layer.convolution for hidden in run.hidden):
        core.registers[int(Reg.PENDING)] = 0 if full else pending
    _learn_layer(run, depth, run.readout, run.readout_credits)
    for index in range(depth - 1, -1, -1) if run.rule.learns_hidden else ():
        hidden = run.hidden[index]
        _learn_layer(run, index, hidden.layer, hidden.credits)
        if hidden.layer.convolution and full:
            _apply_gradients(run, index, hidden.layer)
        if hidden.shift is not None:
            core.registers[layer_register(index, LayerReg.FEEDBACK_SHIFT)] = hidden.shift


class _Frame:
    """Inputs of layer 1 that are constant over the run."""

    def __init__(self, addresses: np.ndarray, values: np.ndarray) -> None:
        self.neurons, self._values = addresses, np.append(values, BIAS_INPUT)

    def update(self, filtered: np.ndarray, entries: np.ndarray) -> np.ndarray:
        """Update of the rows of some inputs and, the last, of the bias: int (words, entries + 1, lanes)."""
        values: np.ndarray = self._values[np.append(entries, -1)]
        return frame_update(filtered, values)


class _Spiking:
    """Neurons or event inputs with traces and histories; the bias spiked in every step."""

    def __init__(self, traces: Traces, bias_trace: int, steps: int, *, in_order: bool, graded: bool) -> None:
        self.neurons = np.sort(traces.active) if in_order else traces.active
        trace, history = (array[self.neurons].astype(np.int64) for array in (traces.trace, traces.history))
        if graded:
            trace, history = trace + history, np.zeros_like(history)
        self._trace, self._history = np.append(trace, bias_trace), np.append(history, (1 << steps) - 1)

    def update(self, filtered: np.ndarray, entries: np.ndarray) -> np.ndarray:
        """Update of the rows of some neurons and, the last, of the bias: int (words, entries + 1, lanes)."""
        some = np.append(entries, -1)
        update: np.ndarray = spike_update(filtered, self._history[some]) + trace_update(filtered, self._trace[some])
        return update


def _learn_layer(run: Run, index: int, layer: Layer, credits: np.ndarray) -> None:
    """Learn in weight layer ``index`` from credits (steps, words, lanes)."""
    core = run.core
    # Lists of the neurons of convolutions, and of their inputs, are in the order of addresses.
    in_order = (run.hidden[index - 1].layer if index else layer).convolution
    below: _Frame | _Spiking
    if index == 0 and not run.events:
        below = _Frame(run.chunk.addresses, run.chunk.values)
    else:
        traces = core.traces[index - 1] if index else core.input_traces
        graded = run.graded and index == 0
        below = _Spiking(traces, core.bias_trace, run.steps, in_order=in_order, graded=graded)
    windows = Windows(layer, below.neurons, run.stride(index))
    for position in range(layer.positions):
        words = slice(position * layer.words, (position + 1) * layer.words)
        entries, rows = windows[position]
        if not layer.convolution:
            # Neurons that share a row differ in their part of a cell. Part by part they are far apart, so that each one
            # finds the row as the one before has changed it.
            by_part = np.argsort(windows.part, kind="stable")
            entries, rows = entries[by_part], rows[by_part]
        update = below.update(filter_credit(credits[:, words]), entries)
        part = np.append(windows.part[entries], 0)
        rows = np.append(rows, layer.rows - 1)
        if layer.convolution:
            _accumulate(run, layer, rows, part, update)
            run.model_cycles += layer.words * windows.spans(position)
        else:
            _update_weights(run, layer, rows, part, update)


def _accumulate(run: Run, layer: Layer, rows: np.ndarray, part: np.ndarray, update: np.ndarray) -> None:
    """Add the updates of one position to the gradients. Behind a pool they count quarters."""
    gradients = run.core.layer_gradients(layer)
    if layer.shape.pool:
        update[:, -1] <<= CELL_BITS
    for some in _parts(part):
        exact = gradients[:, rows[some]] + update[:, some]
        gradients[:, rows[some]], saturated = saturate(exact, GRADIENT.width)
        run.count_words(Counter.GRADIENT_SATURATIONS, saturated)
    run.work(Counter.ACCUMULATE, layer.words * len(rows))


def _update_weights(run: Run, layer: Layer, rows: np.ndarray, part: np.ndarray, update: np.ndarray) -> None:
    """Change the weights of a dense layer."""
    weights = run.core.weights(layer)
    draws = run.core.lfsrs.draw(layer.words * len(rows)).reshape(layer.words, len(rows), -1)
    if layer.shape.pool:
        update[:, :-1] = (update[:, :-1] + CELL // 2) >> CELL_BITS
    for some in _parts(part):
        changed = run.update_rows(weights[:, rows[some]], update[:, some], draws[:, some], Reg.DECAY_SHIFT)
        weights[:, rows[some]], saturated = changed
        run.count_words(Counter.WEIGHT_SATURATIONS, saturated)
    run.work(Counter.LEARN, layer.words * len(rows))


def _apply_gradients(run: Run, index: int, layer: Layer) -> None:
    """Change the weights of a convolution by its gradients, and clear these."""
    core = run.core
    weights, gradients = core.weights(layer), core.layer_gradients(layer)
    register = layer_register(index, LayerReg.MAGNITUDE)
    shift = gradient_shift(core.registers[register], layer.words * layer.rows, core[Reg.CONVOLUTION_RATE])
    core.registers[register] = magnitude_after(core.registers[register], gradients[:, :, 0])
    draws = core.lfsrs.draw(layer.words * layer.rows).reshape(weights.shape)
    step = gradient_step(gradients.astype(np.int64), shift)
    weights[...], saturated = run.update_rows(weights, step, draws, Reg.DECAY_SHIFT)
    gradients[...] = 0
    run.work(Counter.LEARN, layer.words * layer.rows)
    run.count_words(Counter.WEIGHT_SATURATIONS, saturated)


def _parts(part: np.ndarray) -> list[np.ndarray]:
    """Indices of the entries of each part of a cell that occurs; int (n,) each."""
    return [np.flatnonzero(part == number) for number in np.unique(part)]
