"""Credit of a neuron in one time step, from its feedback sum."""

from amaranth import Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from opzo.hw.lanes.accumulator import SUM_SHIFT
from opzo.hw.lib.saturate import Saturate
from opzo.spec.formats import ACCUMULATOR, ACTIVITY_BITS, CREDIT, DELTA_SHIFT, SURROGATE_OFF


class Credit(wiring.Component):
    """Feedback sum times surrogate derivative, plus the activity cost of a spike.

    Latency CREDIT_CYCLES, one neuron per cycle. Golden twin: ``opzo.sim.golden.feedback.credit``.

    Members
    -------
    sum : In(signed)
        Feedback sum, without the low SUM_SHIFT bits.
    surrogate : In
        Code 0..8 of the surrogate derivative, with ``sum``.
    spike, valid : In(1)
        Two cycles after ``sum``: the neuron spiked; the lane holds a neuron.
    activity : In
        Activity cost; constant during a sample.
    credit : Out(signed)
        CREDIT, saturated; 0 if not ``valid``.
    saturated : Out(1)
        With ``credit``.
    """

    sum: In(signed(ACCUMULATOR.width - SUM_SHIFT))
    surrogate: In(range(SURROGATE_OFF + 1))
    spike: In(1)
    valid: In(1)
    activity: In(ACTIVITY_BITS)
    credit: Out(signed(CREDIT.width))
    saturated: Out(1)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        # One more fraction bit, to round half up.
        shifted_width = ACCUMULATOR.width - (DELTA_SHIFT - 1)
        shifted = Signal(signed(shifted_width), reset_less=True)
        with m.If(self.surrogate == SURROGATE_OFF):
            m.d.sync += shifted.eq(0)
        with m.Else():
            m.d.sync += shifted.eq((self.sum >> (DELTA_SHIFT - 1 - SUM_SHIFT)) >> self.surrogate[:3])

        m.submodules.scale = scale = Saturate(shifted_width, CREDIT.width)
        scaled = Signal(signed(CREDIT.width), reset_less=True)
        saturated = Signal(reset_less=True)
        m.d.comb += scale.i.eq((shifted + 1) >> 1)
        m.d.sync += [scaled.eq(scale.o), saturated.eq(scale.saturated)]

        m.submodules.cost = cost = Saturate(CREDIT.width + 1, CREDIT.width)
        m.d.comb += cost.i.eq(scaled + Mux(self.spike, self.activity, 0))
        m.d.sync += [
            self.credit.eq(Mux(self.valid, cost.o, 0)),
            self.saturated.eq((saturated | cost.saturated) & self.valid),
        ]
        return m
