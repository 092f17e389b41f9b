"""Accumulator of a lane: input currents and feedback sums."""

from amaranth import Module, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from opzo.hw.lib.multiplier import WIDTH
from opzo.hw.lib.primitives import primitives
from opzo.spec.formats import ACCUMULATOR, MEMBRANE, PRODUCT_SHIFT

SUM_SHIFT = ACCUMULATOR.frac_bits - MEMBRANE.frac_bits
"""Low bits of the accumulator that only the accumulator itself needs."""


class Accumulator(wiring.Component):
    """Add products.

    Latency 1 cycle, one product per cycle. Golden twins: ``opzo.sim.golden.integrate.integrate``,
    ``opzo.sim.golden.feedback.feedback_sum``.

    Members
    -------
    product : In(signed)
        WEIGHT x input value, or feedback factor x SCALED_ERROR << PRODUCT_SHIFT; floored to ACCUMULATOR.
    en : In(1)
        Add the product.
    first : In(1)
        With ``en``: start a new sum with the product.
    sum : Out(signed)
        Sum without its low SUM_SHIFT bits. That of weights and input values is an input current before saturation.
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
