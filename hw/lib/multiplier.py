"""Signed multiplier with registered inputs and output."""

from amaranth import Module, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

WIDTH = 18
LATENCY = 2


class Multiplier(wiring.Component):
    """18 x 18 bit signed multiplier, LATENCY cycles, one product a cycle.

    Written so that it maps onto one DSP block with its input and output registers; a board may replace it by an
    instance of its vendor's primitive of the same latency.
    """

    a: In(signed(WIDTH))
    b: In(signed(WIDTH))
    product: Out(signed(2 * WIDTH))

    def elaborate(self, platform: object) -> Module:
        m = Module()
        a = Signal(signed(WIDTH), reset_less=True)
        b = Signal(signed(WIDTH), reset_less=True)
        product = Signal(signed(2 * WIDTH), reset_less=True)
        m.d.sync += [a.eq(self.a), b.eq(self.b), product.eq(a * b)]
        m.d.comb += self.product.eq(product)
        return m
