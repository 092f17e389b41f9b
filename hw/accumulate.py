"""Accumulate: the sum that Integrate and Feedback build, and the input current it makes."""

from amaranth import Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from opzo.hw.multiplier import WIDTH
from opzo.hw.saturate import Saturate
from opzo.spec.formats import ACCUMULATOR, MEMBRANE, PRODUCT_SHIFT


class Accumulator(wiring.Component):
    """Sum products; saturate the sum to a membrane current.

    ``total`` follows ``product`` by one cycle, ``current`` and ``saturated`` follow ``total`` by one. Golden twins:
    ``opzo.sim.golden.integrate.integrate``, ``opzo.sim.golden.feedback.feedback_sum``.

    Members
    -------
    product : In(signed)
        WEIGHT x input with ``integrate`` (floored to ACCUMULATOR), else feedback factor x SCALED_ERROR as it is.
    en, first : In(1)
        Take the product; start a new sum with it.
    """

    product: In(signed(2 * WIDTH))
    en: In(1)
    first: In(1)
    integrate: In(1)
    total: Out(signed(ACCUMULATOR.width))
    current: Out(signed(MEMBRANE.width))
    saturated: Out(1)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        total = Signal(signed(ACCUMULATOR.width), reset_less=True)
        term = Signal(signed(ACCUMULATOR.width))
        shift = ACCUMULATOR.frac_bits - MEMBRANE.frac_bits
        m.submodules.saturate = saturate = Saturate(ACCUMULATOR.width - shift, MEMBRANE.width)
        m.d.comb += [
            term.eq(Mux(self.integrate, self.product >> PRODUCT_SHIFT, self.product)),
            saturate.i.eq(total >> shift),
            self.total.eq(total),
        ]
        with m.If(self.en):
            m.d.sync += total.eq(Mux(self.first, 0, total) + term)
        m.d.sync += [self.current.eq(saturate.o), self.saturated.eq(saturate.saturated)]
        return m
