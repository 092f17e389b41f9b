"""Reciprocal by restoring division, one bit per cycle."""

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from opzo.spec.formats import EXP2_ONE_BITS

BITS = 17
CYCLES = BITS
"""Cycles of the division; the first one is that after ``start``."""


class Reciprocal(wiring.Component):
    """Divide 2**32 by a sum of powers: ``min(floor(2**32 / divisor), 2**17 - 1)``.

    Parameters
    ----------
    width : int
        Bits of the divisor.

    Members
    -------
    start : In(1)
        Strobe.
    divisor : In(width)
        2**EXP2_ONE_BITS or more; constant from the cycle after ``start`` until ``quotient`` is valid.
    quotient : Out(BITS)
        Valid from CYCLES + 1 cycles after ``start`` until the next one.
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
        difference = Signal(self.width + 2)
        fits = Signal()
        m.d.comb += [
            doubled.eq(remainder << 1),
            difference.eq(doubled - self.divisor),
            fits.eq(~difference[-1]),
        ]
        with m.If(self.start):
            # Bit 17 of the quotient is skipped: only the smallest divisor sets it, and gives 17 ones without it.
            m.d.sync += [remainder.eq(1 << EXP2_ONE_BITS), running.eq(~0)]
        with m.Elif(running[0]):
            m.d.sync += [
                remainder.eq(Mux(fits, difference, doubled)),
                self.quotient.eq(Cat(fits, self.quotient[:-1])),
                running.eq(running >> 1),
            ]
        return m
