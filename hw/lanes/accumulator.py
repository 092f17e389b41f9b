"""Accumulate: the sum that Integrate and Feedback build."""

from amaranth import Module, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from opzo.hw.lib.multiplier import WIDTH
from opzo.hw.lib.primitives import primitives
from opzo.spec.formats import ACCUMULATOR, MEMBRANE, PRODUCT_SHIFT

SUM_SHIFT = ACCUMULATOR.frac_bits - MEMBRANE.frac_bits
"""Low bits of the accumulator that nothing but further sums needs."""


class Accumulator(wiring.Component):
    """Sum products.

    ``sum`` follows ``product`` by one cycle. Golden twins: ``opzo.sim.golden.integrate.integrate``,
    ``opzo.sim.golden.feedback.feedback_sum``.

    Members
    -------
    product : In(signed)
        WEIGHT x input, or feedback factor x SCALED_ERROR shifted left by PRODUCT_SHIFT; floored to ACCUMULATOR.
    en, first : In(1)
        Take the product; start a new sum with it.
    sum : Out(signed)
        Without the low SUM_SHIFT bits: that of Integrate is an input current before saturation.
    """

    product: In(signed(2 * WIDTH))
    en: In(1)
    first: In(1)
    sum: Out(signed(ACCUMULATOR.width - SUM_SHIFT))

    def elaborate(self, platform: object) -> Module:
        m = Module()
        total = Signal(signed(ACCUMULATOR.width), reset_less=True)
        m.submodules.adder = adder = primitives(platform).gated_adder(ACCUMULATOR.width)
        m.d.comb += [
            adder.a.eq(self.product >> PRODUCT_SHIFT),
            adder.b.eq(total),
            adder.add.eq(~self.first),
            self.sum.eq(total >> SUM_SHIFT),
        ]
        with m.If(self.en):
            m.d.sync += total.eq(adder.o)
        return m
