"""Results of a word, collected from those of its lanes."""

from typing import Any

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from opzo.hw.lanes.lane_command import AfterWord
from opzo.hw.neurons.neuron_state import StateSignatures
from opzo.hw.neurons.walk import StagesSignature, set_block_address
from opzo.spec.limits import Limits


class WordResultsSignature(wiring.Signature):
    """Results of a word in ``lanes`` lanes, seen from their source.

    Members
    -------
    done : Out(1)
        Strobe: the neurons have used the sums of a word.
    spikes : Out(lanes)
        With ``done``, for FIRE: the lanes whose neuron spiked.
    membrane_saturated, credit_saturated : Out(1)
        With ``done``: a current or potential, or a credit, saturated in some lane.
    """

    def __init__(self, lanes: int) -> None:
        super().__init__(
            {"done": Out(1), "spikes": Out(lanes), "membrane_saturated": Out(1), "credit_saturated": Out(1)}
        )


class WordResults(wiring.Component):
    """Collect the results of a word, lane after lane, and store its spikes and noise signs.

    With convolutions they are added to those of the block's other positions, unless the command ``begins_block``. The
    sums are read one cycle before they are written; words are at least two cycles apart, so the one before is written.
    Golden twin: ``Hidden.block_sums`` of ``opzo.sim.golden.hidden``.

    Parameters
    ----------
    limits : Limits
    size : int
        Lanes of the group.

    Members
    -------
    stages : In(StagesSignature)
    spike, membrane_saturated : In(1)
        Results of the lane at stage 4.
    results : Out(WordResultsSignature)
        One cycle after the last lane was at stage 4.
    signs : Out(WriteSignature), negative, credit_saturated : In(1)
        Memory of `NeuronState`; only in a device that learns, as the other results of learning.

    With convolutions and learning, also

    exists : In(1)
        At stage 4: the lane holds a neuron of the word.
    sums : Out(ReadSignature)
        Memory of `NeuronState`.
    """

    stages: Any
    spike: Signal
    negative: Signal
    membrane_saturated: Signal
    credit_saturated: Signal
    results: Any
    signs: Any
    exists: Signal
    sums: Any

    def __init__(self, limits: Limits, size: int) -> None:
        self._size, self._learning = size, limits.learning
        self._adds = limits.gradients > 0 and limits.learning
        members = {
            "stages": In(StagesSignature(limits, size)),
            "spike": In(1),
            "membrane_saturated": In(1),
            "results": Out(WordResultsSignature(size)),
        }
        if limits.learning:
            signs = StateSignatures(limits, size).signs
            members |= {"negative": In(1), "credit_saturated": In(1), "signs": Out(signs.write)}
            members |= {"exists": In(1), "sums": Out(signs.read)} if self._adds else {}
        super().__init__(members)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        lane = self.stages.at[4]
        fires = lane.command.after_word == AfterWord.FIRE
        membrane = Signal()
        first = lane.lane == 0
        results = self.results
        with m.If(lane.valid):
            m.d.sync += [
                results.spikes.eq(Cat(results.spikes[1:], self.spike & fires)),
                membrane.eq((membrane & ~first) | self.membrane_saturated),
            ]
        m.d.sync += results.done.eq(lane.valid & ~lane.load & (lane.lane == self._size - 1))
        m.d.comb += results.membrane_saturated.eq(results.done & membrane)
        if self._learning:
            self._learn(m)
        return m

    def _learn(self, m: Module) -> None:
        """Store spikes and noise signs; saturations of credits."""
        lane, last = self.stages.at[4], self.stages.at[5]
        negatives = Signal(self._size, reset_less=True)
        credit = Signal()
        results = self.results
        with m.If(lane.valid):
            m.d.sync += [
                negatives.eq(Cat(negatives[1:], self.negative)),
                credit.eq((credit & ~(lane.lane == 0)) | self.credit_saturated),
            ]
        m.d.comb += [
            results.credit_saturated.eq(results.done & credit),
            self.signs.en.eq(results.done & (last.command.after_word == AfterWord.FIRE)),
            *set_block_address(self.signs.address, last),
        ]
        if self._adds:
            self._add(m, negatives)
        else:
            m.d.comb += [self.signs.data.negatives.eq(negatives), self.signs.data.spiked.eq(results.spikes)]

    def _add(self, m: Module, negatives: Signal) -> None:
        """Add the word's spikes and signs to those of its block."""
        lane, begins = self.stages.at[4], self.stages.at[5].command.begins_block
        exist = Signal(self._size, reset_less=True)
        with m.If(lane.valid):
            m.d.sync += exist.eq(Cat(exist[1:], self.exists))
        m.d.comb += set_block_address(self.sums.address, lane)
        for offset in range(self._size):
            old, new = self.sums.data[offset], self.signs.data[offset]
            sign = Cat(exist[offset], negatives[offset] & exist[offset]).as_signed()
            m.d.comb += [
                new.noise.eq(Mux(begins, 0, old.noise) + sign),
                new.spikes.eq(Mux(begins, 0, old.spikes) + self.results.spikes[offset]),
            ]
