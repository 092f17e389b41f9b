"""Credit filter: credits filtered backwards in time, and the sum of them that a spike history selects."""

from amaranth import Cat, Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from opzo.hw.add_tree import add_tree
from opzo.hw.saturate import Saturate
from opzo.spec.formats import CREDIT, FILTERED, FRAME_CREDIT, HISTORY_STEPS

TREE_LATENCY = 3
SUM_WIDTH = FILTERED.width + 3


class CreditFilter(wiring.Component):
    """Filter of one neuron's credits, double-buffered, with an adder tree behind it.

    Filling and using overlap: credits enter the shadow registers, last time step first; ``load`` moves them to
    the active registers, from which ``selected`` is formed. Golden twins: ``opzo.sim.golden.credit.filter_credit``,
    ``spike_update``, ``trace_update``, ``frame_update``.

    Members
    -------
    credit : In(signed)
        CREDIT, taken when ``en``; ``first`` starts a new word (its credit is that of the last time step).
    load : In(1), frame : In(1)
        Active registers take the shadow's content; seen by the tree from the next cycle on. Rows are those of a frame.
    history : In(8)
        Bit k selects E[k]. ``selected`` follows by TREE_LATENCY cycles.
    factor : Out(signed)
        What a row's value or trace is multiplied with: for a frame the saturated sum of the active E over all steps
        (FRAME_CREDIT), else E[0].
    """

    credit: In(signed(CREDIT.width))
    en: In(1)
    first: In(1)
    load: In(1)
    frame: In(1)
    history: In(HISTORY_STEPS)
    factor: Out(signed(FRAME_CREDIT.width))
    selected: Out(signed(SUM_WIDTH))

    def elaborate(self, platform: object) -> Module:
        m = Module()
        shadow = [Signal(signed(FILTERED.width), name=f"shadow_{k}", reset_less=True) for k in range(HISTORY_STEPS)]
        active = [Signal(signed(FILTERED.width), name=f"active_{k}", reset_less=True) for k in range(HISTORY_STEPS)]
        total = Signal(signed(SUM_WIDTH), reset_less=True)
        filtered = Signal(signed(FILTERED.width))
        half, carry = Signal(signed(FILTERED.width - 1)), Signal()
        m.submodules.saturate = saturate = Saturate(SUM_WIDTH, FRAME_CREDIT.width)
        m.d.comb += [
            # Half of what came before rounds towards 0: a negative odd number brings a carry, which a bit below the
            # sum holds so that one adder does all.
            half.eq(Mux(self.first, 0, shadow[0] >> 1)),
            carry.eq(~self.first & shadow[0][0] & shadow[0][-1]),
            filtered.eq((Cat(1, self.credit).as_signed() + Cat(carry, half).as_signed()) >> 1),
            saturate.i.eq(total),
        ]
        with m.If(self.en):
            m.d.sync += [
                shadow[0].eq(filtered),
                *(shadow[k].eq(shadow[k - 1]) for k in range(1, HISTORY_STEPS)),
                total.eq(Mux(self.first, 0, total) + filtered),
            ]
        with m.If(self.load):
            m.d.sync += [
                *(into.eq(out) for into, out in zip(active, shadow, strict=True)),
                self.factor.eq(Mux(self.frame, saturate.o, shadow[0])),
            ]

        terms = [Mux(self.history[k], active[k], 0) for k in range(HISTORY_STEPS)]
        m.d.comb += self.selected.eq(add_tree(m, terms, "sum"))
        return m
