"""Row update: decay, stochastic rounding and saturation of one weight or feedback entry."""

from amaranth import Cat, Module, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from opzo.hw.lanes.selector import SUM_WIDTH
from opzo.hw.lib import multiplier
from opzo.hw.lib.primitives import primitives
from opzo.hw.lib.saturate import Saturate
from opzo.spec.formats import INPUT_BITS, MEMBRANE, ROW_LOW_BITS, UPDATE_FRAC_BITS, WEIGHT

LATENCY = 6
ENTRY_DELAY = 1
CREDIT_DELAY = 3
"""Cycles from ``row`` to what belongs to the step of a feedback entry, and to what belongs to credits."""
DECAY_BITS = 16
"""Width of ``decay``: the shortest shift, by one, is its highest bit."""


class RowUpdate(wiring.Component):
    """``row - decay(row) -+ difference - selected - product``, randomly rounded, saturated.

    All with UPDATE_FRAC_BITS more fraction bits than WEIGHT. LATENCY cycles from ``row`` to ``result``, one row a
    cycle. Golden twin: ``opzo.sim.golden.update.update_rows``.

    Parameters
    ----------
    weight_bits : int
        Bits of a row entry in memory, a key of ROW_LOW_BITS.

    Members
    -------
    row : In(signed)
        Weight or feedback entry, as a multiple of 2**low bits in the units of WEIGHT.
    decay : In
        With ``row``: 1 << (DECAY_BITS - shift), or 0 for no decay.
    random : In
        UPDATE_FRAC_BITS and one more for each low bit left out, ENTRY_DELAY cycles after ``row``.
    difference : In(signed), add, subtract : In(1)
        Step of an entry, ENTRY_DELAY cycles after ``row``: added, subtracted or not.
    selected : In(signed)
        Sum of the credits that the row's history selects, CREDIT_DELAY cycles after ``row``.
    product : In(signed), product_en : In(1)
        Factor times value or trace, with INPUT_BITS more fraction bits, rounded half up; likewise.
    result : Out(signed)
        Without the low bits.
    saturated : Out(1)
    """

    row: Signal
    decay: Signal
    random: Signal
    difference: Signal
    add: Signal
    subtract: Signal
    selected: Signal
    product: Signal
    product_en: Signal
    result: Signal
    saturated: Signal

    def __init__(self, weight_bits: int) -> None:
        self._weight_bits, self._low_bits = weight_bits, ROW_LOW_BITS[weight_bits]
        self._frac_bits = UPDATE_FRAC_BITS + self._low_bits
        super().__init__(
            {
                "row": In(signed(WEIGHT.width)),
                "decay": In(DECAY_BITS),
                "random": In(self._frac_bits),
                "difference": In(signed(MEMBRANE.width + 1)),
                "add": In(1),
                "subtract": In(1),
                "selected": In(signed(SUM_WIDTH)),
                "product": In(signed(2 * multiplier.WIDTH)),
                "product_en": In(1),
                "result": Out(signed(weight_bits)),
                "saturated": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        units = primitives(platform)
        # All that is added to a row is less than its range, so one bit more holds every sum.
        width = self._weight_bits + self._frac_bits + 1
        m.submodules.decay = decay = units.multiplier()
        m.submodules.entry = entry = units.gated_adder(width)
        m.submodules.step = step = units.gated_adder(SUM_WIDTH + 2)
        m.submodules.saturate = saturate = Saturate(width - self._frac_bits, self._weight_bits)
        row = Signal(signed(self._weight_bits), reset_less=True)
        stepped, decayed, waiting, exact = (
            Signal(signed(width), name=name, reset_less=True) for name in ("stepped", "decayed", "waiting", "exact")
        )
        update = Signal(signed(SUM_WIDTH + 1), reset_less=True)
        # With one fraction bit, so that the subtraction rounds half up.
        twice = Signal(signed(WEIGHT.width + 1))
        m.d.comb += [
            decay.a.eq(self.row),
            decay.b.eq(self.decay),
            twice.eq(decay.product >> (DECAY_BITS - 1)),
            # The random bits are the fraction of the row: the join costs no adder.
            entry.a.eq(Cat(self.random, row).as_signed()),
            entry.b.eq(self.difference),
            entry.add.eq(self.add),
            entry.subtract.eq(self.subtract),
            # A bit below the sum holds the carry that rounds the product, so that one adder does all.
            step.a.eq(Cat(1, self.selected).as_signed()),
            step.b.eq(self.product >> (INPUT_BITS - 1)),
            step.add.eq(self.product_en),
            saturate.i.eq(exact >> self._frac_bits),
        ]
        m.d.sync += [
            row.eq(self.row >> self._low_bits),
            stepped.eq(entry.o),
            decayed.eq(((stepped << 1) - twice) >> 1),
            waiting.eq(decayed),
            update.eq(step.o >> 1),
            exact.eq(waiting - update),
            self.result.eq(saturate.o),
            self.saturated.eq(saturate.saturated),
        ]
        return m
