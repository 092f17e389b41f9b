"""Credit selector: the sum of a neuron's filtered credits that a spike history selects."""

from amaranth import Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from opzo.hw.add_tree import add_tree
from opzo.hw.primitives import primitives
from opzo.spec.formats import FILTERED, FRAME_CREDIT, HISTORY_STEPS

TREE_LATENCY = 3
SUM_WIDTH = FILTERED.width + 3


class CreditSelector(wiring.Component):
    """Filtered credits of one neuron, double-buffered, with an adder tree behind them.

    Filling and using overlap: values enter the shadow registers, last time step first; ``load`` moves them to the
    active registers, from which ``selected`` is formed. Golden twins: ``opzo.sim.golden.credit.spike_update``,
    ``trace_update``.

    Members
    -------
    filtered : In(signed), factor : In(signed)
        E of a time step, taken when ``en``; with that of the first step its factor.
    load : In(1)
        Active registers take the shadow's content; seen by the tree from the next cycle on.
    history : In(8)
        Bit k selects E[k]. ``selected`` follows by TREE_LATENCY cycles.
    active_factor : Out(signed)
        What a row's value or trace is multiplied with.
    """

    filtered: In(signed(FILTERED.width))
    factor: In(signed(FRAME_CREDIT.width))
    en: In(1)
    load: In(1)
    history: In(HISTORY_STEPS)
    active_factor: Out(signed(FRAME_CREDIT.width))
    selected: Out(signed(SUM_WIDTH))

    def elaborate(self, platform: object) -> Module:
        m = Module()
        shadow = [Signal(signed(FILTERED.width), name=f"shadow_{k}", reset_less=True) for k in range(HISTORY_STEPS)]
        active = [Signal(signed(FILTERED.width), name=f"active_{k}", reset_less=True) for k in range(HISTORY_STEPS)]
        factor = Signal.like(self.factor, reset_less=True)
        active_factor = Signal.like(self.factor, reset_less=True)
        with m.If(self.en):
            m.d.sync += [
                *(into.eq(out) for into, out in zip(shadow, [self.filtered, *shadow[:-1]], strict=True)),
                factor.eq(self.factor),
            ]
        with m.If(self.load):
            m.d.sync += [
                *(into.eq(out) for into, out in zip(active, shadow, strict=True)),
                active_factor.eq(factor),
            ]
        pairs = []
        for k in range(0, HISTORY_STEPS, 2):
            m.submodules[f"pair_{k}"] = pair = primitives(platform).gated_adder(FILTERED.width + 1)
            total = Signal.like(pair.o, name=f"pair_{k}_sum", reset_less=True)
            m.d.comb += [
                pair.a.eq(Mux(self.history[k], active[k], 0)),
                pair.b.eq(active[k + 1]),
                pair.en.eq(self.history[k + 1]),
            ]
            m.d.sync += total.eq(pair.o)
            pairs.append(total)
        m.d.comb += [self.selected.eq(add_tree(m, pairs, "sum")), self.active_factor.eq(active_factor)]
        return m
