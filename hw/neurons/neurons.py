"""The neurons of a group of lanes: firing, credits and credit filter, one lane a cycle."""

from typing import Any

from amaranth import Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from opzo.hw.lanes.lane_command import SUM, AfterWord, filter_command
from opzo.hw.lib.check import check
from opzo.hw.lib.record import record
from opzo.hw.neurons.credit_filter import filtered_credit
from opzo.hw.neurons.filtered_credits import FilteredCredits
from opzo.hw.neurons.neuron_state import NeuronState, StateSignatures
from opzo.hw.neurons.time_step import TimeStep
from opzo.hw.neurons.walk import LaneWalk, WordSignature, is_use
from opzo.hw.neurons.word_credits import FeedbackCredits, ReadoutCredits, error_command
from opzo.hw.neurons.word_results import WordResults, WordResultsSignature
from opzo.spec.formats import ACTIVITY_BITS, ALPHA_BITS, MEMBRANE
from opzo.spec.limits import Limits

SETTINGS = data.StructLayout({"alpha": ALPHA_BITS, "activity": ACTIVITY_BITS})
"""Noise amplitude and activity cost; constant during a sample."""


class Neurons(wiring.Component):
    """Neurons of a group of ``size`` lanes, with their state.

    The neurons of a word pass through lane after lane. Stages of a lane: 0 its sum leaves the shift chain; 1 sum
    and state are registered; 2 input current; 3 potential; 4 spike or credit.

    Parameters
    ----------
    limits : Limits
    size : int
        Lanes of the group.

    Members
    -------
    number : In
        Number of the group in the device; constant.
    word : In(WordSignature)
        Start of a word, at most every ``size`` cycles, and of the same word only after its results.
    sum : In(SUM)
        In the ``size`` cycles after ``word.start``: sum of lane after lane.
    active : Out(1)
        ``sum`` is used in this cycle.
    loading : Out(1), potential : Out(signed)
        In the ``size`` cycles from the second one after ``word.load`` on: potential of lane after lane, MEMBRANE.
    results : Out(WordResultsSignature)
        Results of a word, NEURON_CYCLES after the sum of its last lane.

    In a device that learns, also

    settings : In(SETTINGS)
    signs : In(ReadSignature)
        Noise signs and spikes of all lanes, in the layout `neuron_state.signs`. Latency 1 cycle.
    error : In(error_command)
        Error of a readout neuron, of this group or another one.
    filter : In(filter_command)
    filtered : Out(filtered_credit)
        Result of ``filter``, `filter_cycles` - 1 cycles later.
    shared_saturated : Out(1)
        With convolutions: as ``saturated`` of `SharedCredits`, with ``filtered``.
    """

    number: Signal
    word: Any
    sum: data.View
    active: Signal
    settings: data.View
    loading: Signal
    potential: Signal
    results: Any
    signs: Any
    error: data.View
    filter: data.View
    filtered: data.View
    shared_saturated: Signal

    def __init__(self, limits: Limits, size: int) -> None:
        self._limits, self._size = limits, size
        members = {
            "number": In(range(limits.lanes // size)),
            "word": In(WordSignature(limits)),
            "sum": In(SUM),
            "active": Out(1),
            "loading": Out(1),
            "potential": Out(signed(MEMBRANE.width)),
            "results": Out(WordResultsSignature(size)),
        }
        if limits.learning:
            members |= {
                "settings": In(SETTINGS),
                "signs": In(StateSignatures(limits, size).signs.read),
                "error": In(error_command(limits)),
                "filter": In(filter_command(limits)),
                "filtered": Out(filtered_credit(size)),
                **({"shared_saturated": Out(1)} if limits.gradients else {}),
            }
        super().__init__(members)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        limits, size = self._limits, self._size
        m.submodules.state = state = NeuronState(limits, size)
        m.submodules.walk = walk = LaneWalk(limits, size)
        m.submodules.time_step = step = TimeStep(limits, size)
        m.submodules.results = results = WordResults(limits, size)

        connect(m, flipped(self.word), walk.word)
        connect(m, walk.stages, step.stages, results.stages)
        connect(m, step.membrane, state.membrane)
        connect(m, step.current, state.current)
        connect(m, results.results, flipped(self.results))
        sum_ = record(SUM, "sum_1", reset_less=True)
        m.d.sync += sum_.eq(self.sum)
        first, second = walk.stages.at[0], walk.stages.at[1]
        m.d.comb += [
            walk.number.eq(self.number),
            step.sum.eq(sum_),
            step.exists.eq(walk.exists),
            results.spike.eq(step.spike),
            results.membrane_saturated.eq(step.saturated),
            self.active.eq(first.valid & ~first.load),
            self.loading.eq(second.valid & second.load),
            self.potential.eq(state.membrane.read.data.v),
        ]
        if limits.learning:
            self._learn(m, state, walk, step, results, sum_)
        return m

    def _learn(
        self,
        m: Module,
        state: NeuronState,
        walk: LaneWalk,
        step: TimeStep,
        results: WordResults,
        sum_: data.View,
    ) -> None:
        """Noise, spike codes and credits."""
        limits, size = self._limits, self._size
        m.submodules.credits = credits = FeedbackCredits(limits, size)
        m.submodules.readout_credits = readout_credits = ReadoutCredits(limits, size)
        m.submodules.filtered = filtered = FilteredCredits(limits, size)
        connect(m, walk.stages, credits.stages)
        connect(m, step.code, state.code.write)
        connect(m, credits.credit, state.credit.write)
        connect(m, filtered.credit, state.credit.read)
        connect(m, readout_credits.credit, state.readout_credit.write)
        connect(m, filtered.readout_credit, state.readout_credit.read)
        connect(m, results.signs, state.signs.write)
        connect(m, flipped(self.signs), state.signs.read)

        if limits.gradients:
            self._connect_shared(m, walk, credits, results, filtered, state)
        else:
            connect(m, credits.code, state.code.read)
        m.d.comb += [
            step.alpha.eq(self.settings.alpha),
            credits.next.eq(walk.next),
            credits.sum.eq(sum_),
            credits.exists.eq(walk.exists),
            credits.activity.eq(self.settings.activity),
            readout_credits.number.eq(self.number),
            readout_credits.error.eq(self.error),
            results.negative.eq(step.negative),
            results.credit_saturated.eq(credits.saturated),
            filtered.command.eq(self.filter),
            self.filtered.eq(filtered.filtered),
        ]
        for name, ports, reads in (
            ("credit", state.credit, self.filter.valid & ~self.filter.readout),
            ("readout_credit", state.readout_credit, self.filter.valid & self.filter.readout),
        ):
            same = ports.read.address.as_value() == ports.write.address.as_value()
            check(m, name, ~(reads & ports.write.en & same), "a credit is read in the cycle in which it is written")

    def _connect_shared(
        self,
        m: Module,
        walk: LaneWalk,
        credits: FeedbackCredits,
        results: WordResults,
        filtered: FilteredCredits,
        state: NeuronState,
    ) -> None:
        """Ports of builds with convolutions. Codes are read by words that get credits and, after all of them, by the
        filter."""
        connect(m, results.sums, state.sums)
        shares = Signal()
        asked = Signal()
        exists = Signal(reset_less=True)
        m.d.sync += [exists.eq(walk.exists), asked.eq(shares), self.shared_saturated.eq(filtered.saturated)]
        m.d.comb += [
            results.exists.eq(exists),
            filtered.number.eq(self.number),
            filtered.activity.eq(self.settings.activity),
            shares.eq(self.filter.valid & self.filter.shared),
            state.code.read.address.eq(Mux(shares, filtered.code.address, credits.code.address)),
            credits.code.data.eq(state.code.read.data),
            filtered.code.data.eq(state.code.read.data),
        ]
        credits_made = is_use(walk.stages.at[0], AfterWord.CREDIT)
        check(m, "code", ~(asked & credits_made), "a code is read for a shared credit and for a word at once")
