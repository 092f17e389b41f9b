"""Reciprocal by restoring division, one bit a cycle."""

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from opzo.spec.formats import EXP2_ONE_BITS

BITS = 17
CYCLES = BITS
"""Cycles of the division, from the one after ``start``."""


class Reciprocal(wiring.Component):
    """Divide 2**32 by a sum of powers: ``min(floor(2**32 / divisor), 2**17 - 1)``.

    Parameters
    ----------
    width : int
        Bits of the divisor.

    Members
    -------
    start : In(1)
        Strobe; the quotient is there CYCLES + 1 cycles later and stays.
    divisor : In(width)
        2**EXP2_ONE_BITS or more; stable from the cycle after ``start`` until the quotient is there.
    quotient : Out(BITS)
    """

    start: Signal
    divisor: Signal
    quotient: Signal

    def __init__(self, width: int) -> None:
        self.width = width
        super().__init__({"start": In(1), "divisor": In(width), "quotient": Out(BITS)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        remainder = Signal(self.width, reset_less=True)
        running = Signal(BITS)
        doubled = Signal(self.width + 1)
        rest = Signal(self.width + 2)
        fits = Signal()
        m.d.comb += [
            doubled.eq(remainder << 1),
            rest.eq(doubled - self.divisor),
            fits.eq(~rest[-1]),
        ]
        with m.If(self.start):
            # The quotient's bit 17 is skipped: set only for the least divisor, which then gives 17 ones.
            m.d.sync += [remainder.eq(1 << EXP2_ONE_BITS), running.eq(~0)]
        with m.Elif(running[0]):
            m.d.sync += [
                remainder.eq(Mux(fits, rest, doubled)),
                self.quotient.eq(Cat(fits, self.quotient[:-1])),
                running.eq(running >> 1),
            ]
        return m
