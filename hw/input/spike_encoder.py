"""Spike encoder: lists of spiking neurons from the words that Fire emits."""

from amaranth import Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from opzo.hw.input.group_lists import GroupLists
from opzo.hw.input.list_counts import ListCounts, list_layout
from opzo.hw.input.scanner import (
    SpikeScanner,
    entry_bits,
    finished_layout,
    fired_layout,
    group_lanes,
    map_layout,
    placed_layout,
    spike_layout,
)
from opzo.hw.input.spike_lists import SpikeLists, counts_layout
from opzo.spec.limits import Limits


class SpikeEncoder(wiring.Component):
    """Emit spikes one a cycle, and keep for each hidden layer a list of the last ones.

    See SpikeScanner for the pace.

    Parameters
    ----------
    limits : Limits

    Members
    -------
    clear : In(1)
        Strobe at the start of a run, while ``done``: all lists become empty.
    fired : In(stream of fired_layout)
        Words of a layer and step in ascending order. The word 0 empties the step list of its layer and parity when it
        is taken; words of that list that came before must have been encoded by then.
    word_base : In(array by hidden layer)
        First word of each layer; constant while not ``done``.
    maps : In(array of map_layout by hidden layer)
        Constant while not ``done``.
    done : Out(1)
        Nothing pending: all lists and counts are complete and the last ``finished`` was strobed. Falls the cycle after
        a word was taken.
    step_list, step_index : In
        Index of a step list, whose entry ``step_row`` (`entry_bits`) is there one cycle later.
    step_next, step_seek : In(1), step_lane : Out
        In a build with convolutions a list is read as `GroupLists` says: ``step_index`` is that of a group, the entry
        is the sum of ``step_row`` and the number of the lane, which ``step_lane`` shows one-hot.
    spike : Out(spike_layout)
        Strobe for each spike.
    finished : Out(finished_layout)
        Strobe: the step list of this layer and step can be read from the next cycle on.
    placed : Out(placed_layout)
        In a build with convolutions: the list entry of each word, before its first spike.
    step_counts : Out
        Entries of every list, by layer and number (parity) of the list; they can be read from the next cycle on.
    """

    clear: Signal
    fired: stream.Interface
    word_base: data.View
    maps: data.View
    done: Signal
    step_list: data.View
    step_index: Signal
    step_row: Signal
    step_next: Signal
    step_seek: Signal
    step_lane: Signal
    spike: data.View
    finished: data.View
    placed: data.View
    step_counts: data.View

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        super().__init__(
            {
                "clear": In(1),
                "fired": In(stream.Signature(fired_layout(limits))),
                "word_base": In(data.ArrayLayout(limits.word_bits, limits.layers)),
                "maps": In(data.ArrayLayout(map_layout(limits), limits.layers)),
                "done": Out(1),
                "step_list": In(list_layout(limits)),
                "step_index": In(limits.neuron_bits),
                "step_row": Out(entry_bits(limits)),
                "step_next": In(1),
                "step_seek": In(1),
                "step_lane": Out(group_lanes(limits)),
                "spike": Out(spike_layout(limits)),
                "finished": Out(finished_layout(limits)),
                "placed": Out(placed_layout(limits)),
                "step_counts": Out(counts_layout(limits)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.scanner = scanner = SpikeScanner(self.limits)
        steps: SpikeLists | GroupLists
        if self.limits.gradients:
            m.submodules.groups = steps = self._keep_groups(m, scanner)
        else:
            m.submodules.steps = steps = SpikeLists(self.limits)
            m.d.comb += [steps.spike.eq(scanner.spike), self.step_counts.eq(steps.counts)]
        connect(m, flipped(self).fired, scanner.fired)
        taken = Signal()
        busy = Signal()
        m.d.comb += [
            taken.eq(self.fired.valid & self.fired.ready),
            scanner.maps.eq(self.maps),
            steps.word_base.eq(self.word_base),
            steps.clear.eq(self.clear),
            steps.empty.valid.eq(taken & (self.fired.p.word == 0)),
            steps.empty.layer.eq(self.fired.p.layer),
            steps.empty.parity.eq(self.fired.p.parity),
            steps.layer.eq(self.step_list.layer),
            steps.parity.eq(self.step_list.parity),
            steps.index.eq(self.step_index),
            self.step_row.eq(steps.row),
            self.spike.eq(scanner.spike),
            self.placed.eq(scanner.placed),
            self.done.eq(~busy),
        ]
        # The last spike is in the list a cycle after it was found.
        m.d.sync += self.finished.eq(scanner.finished)
        with m.If(taken):
            m.d.sync += busy.eq(1)
        with m.Elif(~scanner.pending & ~scanner.finished.valid):
            m.d.sync += busy.eq(0)
        return m

    def _keep_groups(self, m: Module, scanner: SpikeScanner) -> GroupLists:
        """Lists by groups of lanes, and the counts of their spikes."""
        steps = GroupLists(self.limits)
        m.submodules.counts = counts = ListCounts(self.limits, self.limits.words * self.limits.lanes)
        m.d.comb += [
            steps.group.eq(scanner.group),
            steps.next.eq(self.step_next),
            steps.seek.eq(self.step_seek),
            self.step_lane.eq(steps.lane),
            *(counts.append[name].eq(scanner.spike[name]) for name in ("valid", "layer", "parity")),
            counts.empty.eq(steps.empty),
            counts.clear.eq(self.clear),
            self.step_counts.eq(counts.counts),
        ]
        return steps
