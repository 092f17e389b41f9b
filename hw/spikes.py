"""Spike encoder: lists of spiking neurons and spike histories from the words that Fire emits."""

from amaranth import Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from opzo.hw.history import HistoryMemory
from opzo.hw.lists import SpikeLists, counts_layout
from opzo.hw.scanner import FINISHED, SpikeScanner, fired_layout, lane_bits, word_bits
from opzo.spec.formats import HISTORY_STEPS
from opzo.spec.network import MAX_HIDDEN, Limits

LIST = data.StructLayout({"layer": range(MAX_HIDDEN), "parity": 1})
"""A step list: that of a layer's even or odd time steps."""
SPIKE_COUNT = data.StructLayout({"valid": 1, "layer": range(MAX_HIDDEN), "first": 1})
"""One spike for the statistics counters."""


class SpikeEncoder(wiring.Component):
    """Keep for each hidden layer a list of the last spikes, one of the active neurons, and the neurons' histories.

    Golden twin: ``opzo.sim.golden.spikes``. One spike a cycle; see SpikeScanner for the pace.

    Parameters
    ----------
    limits : Limits

    Members
    -------
    clear : In(1)
        Strobe at the start of a sample, while ``done``: all lists become empty.
    fired : In(stream of fired_layout)
        Words of a layer and step in ascending order. The word 0 empties the step list of its layer and parity when it
        is taken; words of that list that came before must have been encoded by then.
    word_base : In(array of MAX_HIDDEN)
        First word of each layer; constant while not ``done``.
    done : Out(1)
        Nothing pending: all lists, counts and histories are complete and the last ``finished`` was strobed. Falls the
        cycle after a word was taken.
    step_list, step_index : In
        Entry of a step list, whose ``step_row`` is there one cycle later.
    active_layer, active_index, active_row
        The same for the active lists.
    history_index : In
        Neuron (word_base of its layer * lanes + row) whose ``history`` is there one cycle later; only while ``done``.
    spike_count : Out(SPIKE_COUNT)
        Strobe for each spike.
    finished : Out(FINISHED)
        Strobe: the step list of this layer and step can be read from the next cycle on, the active list with it.
    step_counts, active_counts : Out
        Entries of every list, by layer and number (parity) of the list; they can be read from the next cycle on.
    """

    clear: Signal
    fired: stream.Interface
    word_base: data.View
    done: Signal
    step_list: data.View
    step_index: Signal
    step_row: Signal
    active_layer: Signal
    active_index: Signal
    active_row: Signal
    history_index: Signal
    history: Signal
    spike_count: data.View
    finished: data.View
    step_counts: data.View
    active_counts: data.View

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        row = word_bits(limits) + lane_bits(limits)
        super().__init__(
            {
                "clear": In(1),
                "fired": In(stream.Signature(fired_layout(limits))),
                "word_base": In(data.ArrayLayout(word_bits(limits), MAX_HIDDEN)),
                "done": Out(1),
                "step_list": In(LIST),
                "step_index": In(row),
                "step_row": Out(row),
                "active_layer": In(range(MAX_HIDDEN)),
                "active_index": In(row),
                "active_row": Out(row),
                "history_index": In(row),
                "history": Out(HISTORY_STEPS),
                "spike_count": Out(SPIKE_COUNT),
                "finished": Out(FINISHED),
                "step_counts": Out(counts_layout(limits, 2)),
                "active_counts": Out(counts_layout(limits, 1)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.scanner = scanner = SpikeScanner(self.limits)
        m.submodules.history = history = HistoryMemory(self.limits)
        m.submodules.steps = steps = SpikeLists(self.limits, lists=2)
        m.submodules.actives = actives = SpikeLists(self.limits, lists=1)
        connect(m, flipped(self).fired, scanner.fired)
        taken, busy = Signal(), Signal()
        spike = scanner.spike
        m.d.comb += [
            taken.eq(self.fired.valid & self.fired.ready),
            [unit.word_base.eq(self.word_base) for unit in (scanner, steps, actives)],
            [unit.spike.eq(spike) for unit in (history, steps, actives)],
            # Only first spikes enter the active lists.
            actives.spike.valid.eq(spike.valid & spike.first),
            [unit.clear.eq(self.clear) for unit in (steps, actives)],
            steps.empty.valid.eq(taken & (self.fired.p.word == 0)),
            steps.empty.layer.eq(self.fired.p.layer),
            steps.empty.parity.eq(self.fired.p.parity),
            steps.layer.eq(self.step_list.layer),
            steps.parity.eq(self.step_list.parity),
            steps.index.eq(self.step_index),
            self.step_row.eq(steps.row),
            actives.layer.eq(self.active_layer),
            actives.index.eq(self.active_index),
            self.active_row.eq(actives.row),
            history.index.eq(self.history_index),
            self.history.eq(history.history),
            self.spike_count.valid.eq(spike.valid),
            self.spike_count.layer.eq(spike.layer),
            self.spike_count.first.eq(spike.first),
            self.step_counts.eq(steps.counts),
            self.active_counts.eq(actives.counts),
            self.done.eq(~busy),
        ]
        # The last spike is in the list a cycle after it was found.
        m.d.sync += self.finished.eq(scanner.finished)
        with m.If(taken):
            m.d.sync += busy.eq(1)
        with m.Elif(~scanner.pending & ~history.pending & ~scanner.finished.valid):
            m.d.sync += busy.eq(0)
        return m
