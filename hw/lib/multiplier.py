"""Signed multiplier with registered inputs and output."""

from amaranth import Module, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

WIDTH = 18
LATENCY = 2


class Multiplier(wiring.Component):
    """Signed multiplier of two WIDTH bit factors. Latency LATENCY cycles, one product per cycle.

    Maps onto one DSP block with its input and output registers. A board may replace it with its vendor's primitive of
    the same latency (`opzo.hw.lib.primitives`).

    Members
    -------
    a, b : In(signed)
    product : Out(signed)
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
