"""Row update: decay, stochastic rounding and saturation of one weight or feedback entry."""

from typing import Any

from amaranth import Cat, Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from opzo.hw.lanes.entry_step import entry_step_width
from opzo.hw.lanes.selector import SUM_WIDTH
from opzo.hw.lib import multiplier
from opzo.hw.lib.primitives import primitives
from opzo.hw.lib.saturate import Saturate
from opzo.spec.formats import INPUT_BITS, MEMBRANE, UPDATE_FRAC_BITS, WEIGHT
from opzo.spec.geometry import CELL_BITS
from opzo.spec.limits import Limits

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

    def __init__(self, selected_width: int) -> None:
        super().__init__(
            {
                "selected": Out(signed(selected_width)),
                "product": Out(signed(2 * multiplier.WIDTH)),
                "product_en": Out(1),
            }
        )


def selected_width(limits: Limits) -> int:
    """Bits of the credits that a history selects; with convolutions, also of a step of a feedback entry."""
    return max(SUM_WIDTH, entry_step_width(limits)) if limits.gradients else SUM_WIDTH


class RowUpdate(wiring.Component):
    """``row - decay(row) -+ difference - selected - product``, stochastically rounded, saturated.

    The sum has UPDATE_FRAC_BITS more fraction bits than WEIGHT. Latency UPDATE_CYCLES, one row a cycle. Golden twin:
    ``opzo.sim.golden.update.update_rows``. In a build with convolutions the step of a feedback entry comes as
    ``selected``, and the update is an output.

    Parameters
    ----------
    limits : Limits

    Members
    -------
    row : In(signed)
        Weight or feedback entry in the units of WEIGHT, a multiple of 2**low bits.
    decay : In
        With ``row``: 1 << (DECAY_BITS - shift), or 0 for no decay.
    random : In
        Random bits that round, ENTRY_DELAY cycles after ``row``: UPDATE_FRAC_BITS, and one for each low bit.
    step : In(EntryStepSignature)
        ENTRY_DELAY cycles after ``row``; without convolutions.
    credits : In(CreditStepSignature)
        CREDIT_DELAY cycles after ``row``.
    result : Out(signed)
        New row without its low bits.
    saturated : Out(1)
        With ``result``.

    With convolutions, also

    update : Out(signed)
        ``selected + product``, one cycle after ``credits``.
    quarter : In(1)
        With ``update``: subtract a quarter of it from the row, rounded half up.
    """

    row: Signal
    decay: Signal
    random: Signal
    step: Any
    credits: Any
    result: Signal
    saturated: Signal
    update: Signal
    quarter: Signal

    def __init__(self, limits: Limits) -> None:
        self._weight_bits, self._low_bits = limits.weight_bits, limits.low_bits
        self._frac_bits = UPDATE_FRAC_BITS + self._low_bits
        self._convolves, self._selected_width = limits.gradients > 0, selected_width(limits)
        update = signed(self._selected_width + 1)
        super().__init__(
            {
                "row": In(signed(WEIGHT.width)),
                "decay": In(DECAY_BITS),
                "random": In(self._frac_bits),
                "credits": In(CreditStepSignature(self._selected_width)),
                "result": Out(signed(self._weight_bits)),
                "saturated": Out(1),
                **(
                    {"update": Out(update), "quarter": In(1)} if self._convolves else {"step": In(EntryStepSignature())}
                ),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        units = primitives(platform)
        # One more bit than the row or the update has, whichever is wider, is enough for their difference; the decay
        # brings the row nearer to 0.
        update = Signal(signed(self._selected_width + 1), reset_less=True)
        width = max(self._weight_bits + self._frac_bits, len(update)) + 1
        m.submodules.decay = decay = units.multiplier()
        m.submodules.step = credit_step = units.gated_adder(len(update) + 1)
        m.submodules.saturate = saturate = Saturate(width - self._frac_bits, self._weight_bits)
        row = Signal(signed(self._weight_bits), reset_less=True)
        stepped, decayed, waiting, exact = (
            Signal(signed(width), name=name, reset_less=True) for name in ("stepped", "decayed", "waiting", "exact")
        )
        # One fraction bit, so that the subtraction rounds half up.
        twice = Signal(signed(WEIGHT.width + 1))
        # The random bits are the fraction of the row, so adding them costs no adder.
        rounding = Cat(self.random, row).as_signed()
        m.d.comb += [
            decay.a.eq(self.row),
            decay.b.eq(self.decay),
            twice.eq(decay.product >> (DECAY_BITS - 1)),
            # A bit below the sum holds the carry that rounds the product, so that one adder is enough.
            credit_step.a.eq(Cat(1, self.credits.selected).as_signed()),
            credit_step.b.eq(self.credits.product >> (INPUT_BITS - 1)),
            credit_step.add.eq(self.credits.product_en),
            saturate.i.eq(exact >> self._frac_bits),
        ]
        m.d.sync += [
            row.eq(self.row >> self._low_bits),
            decayed.eq(((stepped << 1) - twice) >> 1),
            waiting.eq(decayed),
            update.eq(credit_step.o >> 1),
            self.result.eq(saturate.o),
            self.saturated.eq(saturate.saturated),
        ]
        if self._convolves:
            m.d.comb += self.update.eq(update)
            m.d.sync += [
                stepped.eq(rounding),
                exact.eq(
                    waiting - Mux(self.quarter, update >> CELL_BITS, update) - (self.quarter & update[CELL_BITS - 1])
                ),
            ]
        else:
            m.submodules.entry = entry = units.gated_adder(width)
            m.d.comb += [
                entry.a.eq(rounding),
                entry.b.eq(self.step.difference),
                entry.add.eq(self.step.add),
                entry.subtract.eq(self.step.subtract),
            ]
            m.d.sync += [stepped.eq(entry.o), exact.eq(waiting - update)]
        return m
