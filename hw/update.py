"""Row update: decay, stochastic rounding and saturation of one weight or feedback entry."""

from amaranth import Module, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from opzo.hw.saturate import Saturate
from opzo.spec.formats import ROW_LOW_BITS, UPDATE_FRAC_BITS

LATENCY = 7
UPDATE_DELAY = 5
"""Cycles from ``row`` to ``update``."""
UPDATE_WIDTH = 25
"""Holds the sum of a spike row's and an event row's update; all other updates are narrower."""


class RowUpdate(wiring.Component):
    """``row - decay(row) - update`` with UPDATE_FRAC_BITS more fraction bits, randomly rounded, saturated.

    LATENCY cycles from ``row`` to ``result``, one row a cycle. Golden twin: ``opzo.sim.golden.update.update_rows``.

    Parameters
    ----------
    weight_bits : int
        Bits of a row entry in memory, a key of ROW_LOW_BITS.

    Members
    -------
    row : In(signed)
        Weight or feedback entry, without the low bits that the memory leaves out.
    decay_shift : In(4)
        With ``row``; 0 is no decay.
    random : In
        UPDATE_FRAC_BITS and one more for each low bit left out, one cycle after ``row``.
    update : In(signed)
        UPDATE_DELAY cycles after ``row``, units of 2**-UPDATE_FRAC_BITS.
    result : Out(signed)
    saturated : Out(1)
    """

    row: Signal
    decay_shift: Signal
    random: Signal
    update: Signal
    result: Signal
    saturated: Signal

    def __init__(self, weight_bits: int) -> None:
        self._weight_bits, self._low_bits = weight_bits, ROW_LOW_BITS[weight_bits]
        self._frac_bits = UPDATE_FRAC_BITS + self._low_bits
        super().__init__(
            {
                "row": In(signed(weight_bits)),
                "decay_shift": In(4),
                "random": In(self._frac_bits),
                "update": In(signed(UPDATE_WIDTH)),
                "result": Out(signed(weight_bits)),
                "saturated": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        # Row with its fraction; random bits fill the fraction, and decay only takes towards 0, so neither needs a bit
        # more. An update may be larger.
        exact_width = self._weight_bits + self._frac_bits
        difference_width = max(exact_width, UPDATE_WIDTH) + 1
        row = Signal.like(self.row, reset_less=True)
        # Decay rounds half up: the last bit shifted out is the carry of the subtraction.
        decay = Signal(signed(self._weight_bits + self._low_bits), reset_less=True)
        half = Signal(reset_less=True)
        twice = Signal(signed(self._weight_bits + self._low_bits + 1))
        m.d.comb += twice.eq((self.row << (1 + self._low_bits)) >> self.decay_shift)
        m.d.sync += row.eq(self.row)
        with m.If(self.decay_shift == 0):
            m.d.sync += [decay.eq(0), half.eq(0)]
        with m.Else():
            m.d.sync += [decay.eq(twice >> 1), half.eq(twice[0])]

        # The random bits are the fraction of the row: the join costs no adder.
        kept = [Signal(signed(exact_width), name=f"kept_{k}", reset_less=True) for k in range(UPDATE_DELAY - 1)]
        m.d.sync += [
            kept[0].eq((row << self._frac_bits) + self.random - decay - half),
            *(into.eq(out) for into, out in zip(kept[1:], kept[:-1], strict=True)),
        ]

        exact = Signal(signed(difference_width), reset_less=True)
        m.submodules.saturate = saturate = Saturate(difference_width - self._frac_bits, self._weight_bits)
        m.d.sync += exact.eq(kept[-1] - self.update)
        m.d.comb += saturate.i.eq(exact >> self._frac_bits)
        m.d.sync += [self.result.eq(saturate.o), self.saturated.eq(saturate.saturated)]
        return m
