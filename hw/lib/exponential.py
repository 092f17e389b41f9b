"""Powers of e of readouts, relative to the largest one."""

from amaranth import Array, Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from opzo.spec.formats import (
    EXP2,
    EXP2_FRAC_BITS,
    EXP2_ONE_BITS,
    LOG2E_FRAC_BITS,
    LOG2E_NUMERATOR,
    MEMBRANE,
)

EXPONENT_CYCLES = 2
"""Cycles from ``o`` to ``exponent``."""
POWER_CYCLES = 4
"""Cycles from ``o`` to ``power``."""
_EXPONENT_SHIFT = LOG2E_FRAC_BITS + MEMBRANE.frac_bits - EXP2_FRAC_BITS
EXPONENT_BITS = ((((1 << MEMBRANE.width) - 1) * LOG2E_NUMERATOR) >> _EXPONENT_SHIFT).bit_length()
POWER_BITS = EXP2_ONE_BITS + 1


class Exponential(wiring.Component):
    """Compute ``x = (top - o) log2(e)`` and ``2**-x``, one readout per cycle.

    Golden twin: ``opzo.sim.golden.error.error_step``.

    Members
    -------
    top, o : In(signed)
        Largest readout and a readout, MEMBRANE.
    exponent : Out
        x with EXP2_FRAC_BITS fraction bits, EXPONENT_CYCLES cycles after ``o``.
    power : Out
        2**-x with EXP2_ONE_BITS fraction bits, POWER_CYCLES cycles after ``o``.
    """

    top: In(signed(MEMBRANE.width))
    o: In(signed(MEMBRANE.width))
    exponent: Out(EXPONENT_BITS)
    power: Out(POWER_BITS)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        # 369 = 9 * 41: three additions in place of a multiplier.
        assert LOG2E_NUMERATOR == 9 * 41
        distance = Signal(MEMBRANE.width)
        nine = Signal(MEMBRANE.width + 4, reset_less=True)
        mantissa = Signal(POWER_BITS, reset_less=True)
        shift = Signal(range(POWER_BITS), reset_less=True)
        vanishes = Signal(reset_less=True)
        integer = self.exponent[EXP2_FRAC_BITS:]
        m.d.comb += distance.eq(self.top - self.o)
        m.d.sync += [
            nine.eq(distance + (distance << 3)),
            self.exponent.eq((nine + (nine << 3) + (nine << 5)) >> _EXPONENT_SHIFT),
            mantissa.eq(Array(EXP2)[self.exponent[:EXP2_FRAC_BITS]]),
            shift.eq(integer),
            vanishes.eq(integer >= POWER_BITS),
            self.power.eq(Mux(vanishes, 0, mantissa >> shift)),
        ]
        return m
