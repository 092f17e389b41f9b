"""Results: the answer of a run as a stream of words."""

from amaranth import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from opzo.hw.error.ports import CLASS_COUNT_BITS, AnswerSignature
from opzo.hw.interface import RESULT, RUN
from opzo.hw.lib.check import check


class Results(wiring.Component):
    """Send prediction, loss and, if the run asked for them, the summed readouts.

    Members
    -------
    start : In(1), sample : In(RUN)
        Strobe: the run of ``sample`` has ended; ``sample``, ``classes`` and ``answer`` are stable until ``busy`` falls.
    classes : In
    answer : In(AnswerSignature)
    o : Out(stream of RESULT)
    busy : Out(1)
    """

    start: In(1)
    sample: In(RUN)
    classes: In(CLASS_COUNT_BITS)
    answer: In(AnswerSignature())
    o: Out(stream.Signature(RESULT))
    busy: Out(1)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        next_class = Signal.like(self.answer.sum_class)
        last = Signal()
        m.d.comb += [self.answer.sum_class.eq(next_class), self.o.p.tag.eq(self.sample.tag)]
        with m.FSM() as fsm:
            with m.State("IDLE"):
                with m.If(self.start):
                    m.next = "PREDICTION"
            with m.State("PREDICTION"):
                m.d.comb += [self.o.valid.eq(1), self.o.p.data.eq(self.answer.prediction), self.o.p.first.eq(1)]
                m.d.sync += next_class.eq(0)
                with m.If(self.o.ready):
                    m.next = "LOSS"
            with m.State("LOSS"):
                m.d.comb += [
                    self.o.valid.eq(1),
                    self.o.p.data.eq(self.answer.loss),
                    self.o.p.last.eq(~self.sample.outputs),
                ]
                with m.If(self.o.ready):
                    m.next = "IDLE"
                    with m.If(self.sample.outputs):
                        m.next = "ASK"
            with m.State("ASK"):
                m.d.sync += last.eq(next_class + 1 == self.classes)
                m.next = "SUM"
            with m.State("SUM"):
                m.d.comb += [self.o.valid.eq(1), self.o.p.data.eq(self.answer.sum), self.o.p.last.eq(last)]
                with m.If(self.o.ready):
                    m.d.sync += next_class.eq(next_class + 1)
                    m.next = "ASK"
                    with m.If(last):
                        m.next = "IDLE"
        m.d.comb += self.busy.eq(~fsm.ongoing("IDLE"))
        check(m, "start", ~(self.start & self.busy), "a run ends before the results of the last one were taken")
        return m
