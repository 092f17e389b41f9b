"""Loss summed over the time steps of a decision, and the answer of a run."""

from amaranth import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from opzo.hw.error.ports import CLASS_BITS
from opzo.spec.formats import LOSS_BITS, LOSS_SUM_BITS


class LossSum(wiring.Component):
    """Add up the losses of the steps; keep prediction and sum for the answer.

    Members
    -------
    loss : In(LOSS_BITS), restart : In(1)
        Loss of the step; whether the sum begins with it.
    add : In(1)
        Strobe: add ``loss``.
    publish : In(1), best : In(6)
        Strobe, not before ``add``: the run has ended with prediction ``best``.
    prediction : Out(6), total : Out(LOSS_SUM_BITS)
        Answer of the last run that was published.
    """

    loss: In(LOSS_BITS)
    restart: In(1)
    add: In(1)
    publish: In(1)
    best: In(CLASS_BITS)
    prediction: Out(CLASS_BITS)
    total: Out(LOSS_SUM_BITS)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        total = Signal(LOSS_SUM_BITS, reset_less=True)
        present = Signal.like(total)
        m.d.comb += present.eq(total)
        with m.If(self.add):
            m.d.comb += present.eq(Mux(self.restart, 0, total) + self.loss)
            m.d.sync += total.eq(present)
        with m.If(self.publish):
            m.d.sync += [self.prediction.eq(self.best), self.total.eq(present)]
        return m
