"""The neurons of a group of lanes: what happens once a word, one lane a cycle."""

from amaranth import Cat, Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from opzo.hw.lanes.lane_command import SUM, AfterWord, filter_command, word_command
from opzo.hw.lib.record import record
from opzo.hw.lib.saturate import Saturate
from opzo.hw.neurons.credit import Credit
from opzo.hw.neurons.filter import CreditFilter, fill_layout
from opzo.hw.neurons.fire import Fire
from opzo.hw.neurons.neuron_state import STEP_BITS, NeuronState
from opzo.spec.formats import (
    ACTIVITY_BITS,
    ALPHA_BITS,
    CREDIT,
    MEMBRANE,
    SCALED_ERROR,
)
from opzo.spec.network import Limits

LATENCY = 5
"""Cycles from the sum of a word's last lane to the results of the word."""


def error_command(limits: Limits) -> data.StructLayout:
    """Layout of a credit on its way from the error unit to the lane of its read-out neuron."""
    return data.StructLayout({"valid": 1, "class_": 6, "step": STEP_BITS, "value": signed(SCALED_ERROR.width)})


class Neurons(wiring.Component):
    """Fire, credits and credit filter of a group of ``size`` lanes, and their neurons' state.

    ``start`` starts a word, at most every ``size`` cycles; in the ``size`` cycles after it ``sum`` is that of lane
    after lane. Stages of a lane: 0 sum; 1 state; 2 input current; 3 potential; 4 spike, credit. Golden twins: those of
    the submodules.

    Members
    -------
    number : In
        Of the group among those of the device; constant.
    start : In(1), command : In(word_command)
        Strobe: a word is to be worked on; the same again only after its results.
    sum : In(SUM)
    alpha, activity : In
        Noise amplitude and activity cost, constant during a sample.
    active : Out(1)
        Stage 0 of some lane.
    load : In(1)
        With ``command.word``, and at most as often: give out potentials.
    loading : Out(1), potential : Out(signed)
        In the ``size`` cycles from the second after ``load`` on: potential of lane after lane.
    posted : Out(1), spikes : Out(size)
        Strobe LATENCY cycles after the last lane's sum: the word's results. Spikes of FIRE.
    membrane_saturated, credit_saturated : Out(1)
        With ``posted``: some neuron saturated.
    sign_word, sign_step : In -> negatives, spiked : Out(size)
        Sign of the pair's even step and spike of all lanes, one cycle later.
    error : In(error_command)
    filter : In(filter_command)
    fill : Out(fill_layout)
        Four cycles after ``filter``: its lane, and its filtered credit.
    """

    number: Signal
    start: Signal
    command: data.View
    sum: data.View
    alpha: Signal
    activity: Signal
    active: Signal
    load: Signal
    loading: Signal
    potential: Signal
    posted: Signal
    spikes: Signal
    membrane_saturated: Signal
    credit_saturated: Signal
    sign_word: Signal
    sign_step: Signal
    negatives: Signal
    spiked: Signal
    error: data.View
    filter: data.View
    fill: data.View

    def __init__(self, limits: Limits, size: int) -> None:
        self._limits, self._size = limits, size
        self.state = NeuronState(limits, size)
        super().__init__(
            {
                "number": In(range(limits.lanes // size)),
                "start": In(1),
                "command": In(word_command(limits)),
                "sum": In(SUM),
                "alpha": In(ALPHA_BITS),
                "activity": In(ACTIVITY_BITS),
                "active": Out(1),
                "load": In(1),
                "loading": Out(1),
                "potential": Out(signed(MEMBRANE.width)),
                "posted": Out(1),
                "spikes": Out(size),
                "membrane_saturated": Out(1),
                "credit_saturated": Out(1),
                "sign_word": In(range(max(limits.words, 2))),
                "sign_step": In(STEP_BITS),
                "negatives": Out(size),
                "spiked": Out(size),
                "error": In(error_command(limits)),
                "filter": In(filter_command(limits)),
                "fill": Out(fill_layout(size)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.state = self.state
        self._walk(m)
        self._fire(m)
        self._credit(m)
        self._collect(m)
        self._fill(m)
        return m

    def _walk(self, m: Module) -> None:
        """Lane after lane: command of the word, and number of the lane, by stage."""
        place = data.StructLayout({"valid": 1, "load": 1, "lane": range(self._size)})
        self._word = [record(word_command(self._limits), f"word_{n}", reset_less=True) for n in range(LATENCY + 1)]
        self._lane = [record(place, f"lane_{n}") for n in range(LATENCY + 1)]
        word, lane = self._word[0], self._lane[0]
        starts = self.start | self.load
        next_lane = Mux(starts, 0, lane.lane + 1)[: len(lane.lane)]
        with m.If(starts):
            m.d.sync += [word.eq(self.command), lane.valid.eq(1), lane.load.eq(self.load), lane.lane.eq(0)]
        with m.Elif(lane.valid):
            m.d.sync += [lane.lane.eq(next_lane), lane.valid.eq(lane.lane != self._size - 1)]
        for stages in (self._word, self._lane):
            m.d.sync += [after.eq(before) for after, before in zip(stages[1:], stages[:-1], strict=True)]
        state = self.state
        m.d.comb += [
            self.active.eq(lane.valid & ~lane.load),
            self.loading.eq(self._lane[1].valid & self._lane[1].load),
            self.potential.eq(state.v),
            state.lane.eq(lane.lane),
            state.word.eq(word.word),
            # A cycle before the lane is in stage 0.
            state.code_lane.eq(next_lane),
            state.code_word.eq(Mux(starts, self.command.word, word.word)),
            state.code_step.eq(Mux(starts, self.command.step, word.step)),
        ]
        self._sum = sum_ = record(SUM, "sum_1", reset_less=True)
        m.d.sync += sum_.eq(self.sum)

    def _is(self, stage: int, use: AfterWord) -> Signal:
        """Whether the lane in ``stage`` is there for ``use``."""
        result: Signal = self._lane[stage].valid & ~self._lane[stage].load & (self._word[stage].after_word == use)
        return result

    def _exists(self, m: Module, name: str) -> Signal:
        """Whether the lane in stage 3 holds a neuron of the word."""
        exists = Signal(name=name, reset_less=True)
        m.d.sync += exists.eq(Cat(self._lane[2].lane, self.number) < self._word[2].valid_lanes)
        return exists

    def _fire(self, m: Module) -> None:
        """One time step of the neuron, or its input current kept."""
        state, word, lane = self.state, self._word, self._lane
        m.submodules.current = current = Saturate(self._sum.value.shape().width, MEMBRANE.width)
        m.submodules.fire = fire = Fire()
        i, v = (Signal(signed(MEMBRANE.width), name=name, reset_less=True) for name in ("i", "v"))
        # By stage, from 2 on.
        negatives, saturated = Signal(3, reset_less=True), Signal(3, reset_less=True)
        # The sign is drawn at even steps and turned at odd ones; without noise it stays.
        drawn = word[1].noise & ~word[1].odd
        negative = Mux(drawn, self._sum.negative, state.negative & ~word[1].fresh)
        self._exists_3 = exists = self._exists(m, "exists")
        m.d.comb += current.i.eq(self._sum.value)
        m.d.sync += [
            i.eq(Mux(word[1].kept, state.current, current.o)),
            v.eq(Mux(word[1].fresh, 0, state.v)),
            negatives.eq(Cat(negative, negatives)),
            saturated.eq(Cat(current.saturated & ~word[1].kept, saturated[0], saturated[1] & exists)),
        ]
        m.d.comb += [
            state.current_en.eq(self._is(2, AfterWord.STORE)),
            state.current_lane.eq(lane[2].lane),
            state.current_word.eq(word[2].word),
            state.current_next.eq(i),
            fire.v.eq(v),
            fire.current.eq(i),
            fire.alpha.eq(self.alpha),
            fire.noise.eq(word[3].noise),
            fire.negative.eq(negatives[1] ^ word[3].odd),
            fire.valid.eq(exists),
            state.fired_en.eq(self._is(4, AfterWord.FIRE)),
            state.result_lane.eq(lane[4].lane),
            state.result_word.eq(word[4].word),
            state.result_step.eq(word[4].step),
            state.v_next.eq(fire.v_next),
            state.negative_next.eq(negatives[2]),
            state.code_next.surrogate.eq(fire.surrogate),
            state.code_next.spike.eq(fire.spike),
        ]
        self._spike, self._negative = fire.spike, negatives[2]
        self._saturates = (self._is(4, AfterWord.FIRE) & (fire.saturated | saturated[2])) | (
            self._is(4, AfterWord.READOUT) & saturated[2]
        )

    def _credit(self, m: Module) -> None:
        """Feedback sum to credit; credits of read-out neurons from the error unit."""
        state, error = self.state, self.error
        m.submodules.credit = credit = Credit()
        m.submodules.error_credit = error_credit = Saturate(SCALED_ERROR.width, CREDIT.width)
        spikes = Signal(2, reset_less=True)
        m.d.sync += spikes.eq(Cat(state.code.spike, spikes))
        lane_bits = (self._limits.lanes - 1).bit_length()
        m.d.comb += [
            credit.sum.eq(self._sum.value),
            credit.surrogate.eq(state.code.surrogate),
            credit.spike.eq(spikes[1]),
            credit.valid.eq(self._exists_3),
            credit.activity.eq(self.activity),
            state.credit_en.eq(self._is(4, AfterWord.CREDIT)),
            state.credit_next.eq(credit.credit),
            error_credit.i.eq(error.value),
            state.error_en.eq(error.valid & (error.class_[:lane_bits] >> exact_log2(self._size) == self.number)),
            state.error_lane.eq(error.class_),
            state.error_word.eq(error.class_ >> lane_bits),
            state.error_step.eq(error.step),
            state.error_next.eq(error_credit.o),
        ]
        self._credit_saturates = self._is(4, AfterWord.CREDIT) & credit.saturated

    def _collect(self, m: Module) -> None:
        """Results of a word, from those of its lanes."""
        state, lane, word = self.state, self._lane[4], self._word
        fires = word[4].after_word == AfterWord.FIRE
        negatives = Signal(self._size, reset_less=True)
        membrane, credit = Signal(), Signal()
        first = lane.lane == 0
        with m.If(lane.valid):
            m.d.sync += [
                self.spikes.eq(Cat(self.spikes[1:], self._spike & fires)),
                negatives.eq(Cat(negatives[1:], self._negative)),
                membrane.eq((membrane & ~first) | self._saturates),
                credit.eq((credit & ~first) | self._credit_saturates),
            ]
        m.d.sync += self.posted.eq(lane.valid & ~lane.load & (lane.lane == self._size - 1))
        m.d.comb += [
            self.membrane_saturated.eq(self.posted & membrane),
            self.credit_saturated.eq(self.posted & credit),
            state.signs_en.eq(self.posted & (word[5].after_word == AfterWord.FIRE)),
            state.signs_word.eq(word[5].word),
            state.signs_step.eq(word[5].step),
            state.negatives_next.eq(negatives),
            state.spiked_next.eq(self.spikes),
            state.sign_word.eq(self.sign_word),
            state.sign_step.eq(self.sign_step),
            self.negatives.eq(state.negatives),
            self.spiked.eq(state.spiked),
        ]

    def _fill(self, m: Module) -> None:
        """Credits of a lane, backwards in time, through the filter to the lane."""
        state, filter_ = self.state, CreditFilter()
        m.submodules.filter = filter_
        asked, read, arrived = (record(filter_command(self._limits), name) for name in ("asked", "read", "arrived"))
        credit = Signal(signed(CREDIT.width), reset_less=True)
        m.d.sync += [
            asked.eq(self.filter),
            read.eq(asked),
            arrived.eq(read),
            credit.eq(Mux(read.read_out, state.error_credit, state.credit)),
        ]
        m.d.comb += [
            state.filter_lane.eq(self.filter.lane),
            state.filter_word.eq(self.filter.word),
            state.filter_step.eq(self.filter.step),
            filter_.credit.eq(credit),
            filter_.en.eq(arrived.valid),
            filter_.first.eq(arrived.first),
            filter_.frame.eq(arrived.frame),
            self.fill.filtered.eq(filter_.filtered),
            self.fill.factor.eq(filter_.factor),
        ]
        m.d.sync += [
            self.fill.valid.eq(arrived.valid),
            self.fill.lane.eq(arrived.lane),
            self.fill.step.eq(arrived.step),
        ]
