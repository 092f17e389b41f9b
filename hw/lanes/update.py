"""Row update: decay, stochastic rounding and saturation of one weight or feedback entry."""

from typing import Any

from amaranth import Cat, Module, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from opzo.hw.lanes.selector import SUM_WIDTH
from opzo.hw.lib import multiplier
from opzo.hw.lib.primitives import primitives
from opzo.hw.lib.saturate import Saturate
from opzo.spec.formats import INPUT_BITS, MEMBRANE, ROW_LOW_BITS, UPDATE_FRAC_BITS, WEIGHT

DECAY_BITS = 16
"""Width of ``decay``; its highest bit is the shortest shift, by 1."""


class EntryStepSignature(wiring.Signature):
    """Step of a feedback entry, seen from its source: ``difference`` is added or subtracted, or nothing happens.

    ``difference`` has UPDATE_FRAC_BITS more fraction bits than WEIGHT; at most one of ``add`` and ``subtract`` is set.
    """

    def __init__(self) -> None:
        super().__init__({"difference": Out(signed(MEMBRANE.width + 1)), "add": Out(1), "subtract": Out(1)})


class CreditStepSignature(wiring.Signature):
    """Step of a weight, seen from its source; subtracted.

    Members
    -------
    selected : Out(signed)
        Sum of the credits that the row's history selects, with UPDATE_FRAC_BITS more fraction bits than WEIGHT.
    product : Out(signed)
        Credit factor times value or trace, with INPUT_BITS more fraction bits than ``selected``; rounded half up.
    product_en : Out(1)
        Use ``product``.
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "selected": Out(signed(SUM_WIDTH)),
                "product": Out(signed(2 * multiplier.WIDTH)),
                "product_en": Out(1),
            }
        )


class RowUpdate(wiring.Component):
    """``row - decay(row) -+ difference - selected - product``, stochastically rounded, saturated.

    The sum has UPDATE_FRAC_BITS more fraction bits than WEIGHT. Latency UPDATE_CYCLES, one row a cycle. Golden twin:
    ``opzo.sim.golden.update.update_rows``.

    Parameters
    ----------
    weight_bits : int
        Bits of a row entry in memory, a key of ROW_LOW_BITS.

    Members
    -------
    row : In(signed)
        Weight or feedback entry in the units of WEIGHT, a multiple of 2**low bits.
    decay : In
        With ``row``: 1 << (DECAY_BITS - shift), or 0 for no decay.
    random : In
        Random bits that round, ENTRY_DELAY cycles after ``row``: UPDATE_FRAC_BITS, and one for each low bit.
    step : In(EntryStepSignature)
        ENTRY_DELAY cycles after ``row``.
    credits : In(CreditStepSignature)
        CREDIT_DELAY cycles after ``row``.
    result : Out(signed)
        New row without its low bits.
    saturated : Out(1)
        With ``result``.
    """

    row: Signal
    decay: Signal
    random: Signal
    step: Any
    credits: Any
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
                "step": In(EntryStepSignature()),
                "credits": In(CreditStepSignature()),
                "result": Out(signed(weight_bits)),
                "saturated": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        units = primitives(platform)
        # Everything added to a row is less than its range, so one more bit is enough for the sum.
        width = self._weight_bits + self._frac_bits + 1
        m.submodules.decay = decay = units.multiplier()
        m.submodules.entry = entry = units.gated_adder(width)
        m.submodules.step = credit_step = units.gated_adder(SUM_WIDTH + 2)
        m.submodules.saturate = saturate = Saturate(width - self._frac_bits, self._weight_bits)
        row = Signal(signed(self._weight_bits), reset_less=True)
        stepped, decayed, waiting, exact = (
            Signal(signed(width), name=name, reset_less=True) for name in ("stepped", "decayed", "waiting", "exact")
        )
        update = Signal(signed(SUM_WIDTH + 1), reset_less=True)
        # One fraction bit, so that the subtraction rounds half up.
        twice = Signal(signed(WEIGHT.width + 1))
        m.d.comb += [
            decay.a.eq(self.row),
            decay.b.eq(self.decay),
            twice.eq(decay.product >> (DECAY_BITS - 1)),
            # The random bits are the fraction of the row, so adding them costs no adder.
            entry.a.eq(Cat(self.random, row).as_signed()),
            entry.b.eq(self.step.difference),
            entry.add.eq(self.step.add),
            entry.subtract.eq(self.step.subtract),
            # A bit below the sum holds the carry that rounds the product, so that one adder is enough.
            credit_step.a.eq(Cat(1, self.credits.selected).as_signed()),
            credit_step.b.eq(self.credits.product >> (INPUT_BITS - 1)),
            credit_step.add.eq(self.credits.product_en),
            saturate.i.eq(exact >> self._frac_bits),
        ]
        m.d.sync += [
            row.eq(self.row >> self._low_bits),
            stepped.eq(entry.o),
            decayed.eq(((stepped << 1) - twice) >> 1),
            waiting.eq(decayed),
            update.eq(credit_step.o >> 1),
            exact.eq(waiting - update),
            self.result.eq(saturate.o),
            self.saturated.eq(saturate.saturated),
        ]
        return m
