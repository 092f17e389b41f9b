"""Walk over the classes, for the pipelines of the error unit."""

from amaranth import Cat, Module, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out


class ClassWalk(wiring.Component):
    """Count through the classes, and follow each class through the stages of a pipeline.

    Parameters
    ----------
    bits : int
        Bits of a class.
    last_stage : int
        Last stage that is followed.

    Members
    -------
    start : In(1)
        Strobe; class 0 is in stage 0 in the next cycle.
    last : In
        Last class.
    class_, valid, ends : Out(array of last_stage + 1)
        Class in each stage, whether there is one, whether it is the last.
    """

    start: Signal
    last: Signal
    class_: data.View
    valid: Signal
    ends: Signal

    def __init__(self, bits: int, last_stage: int) -> None:
        self._last_stage = last_stage
        super().__init__(
            {
                "start": In(1),
                "last": In(bits),
                "class_": Out(data.ArrayLayout(bits, last_stage + 1)),
                "valid": Out(last_stage + 1),
                "ends": Out(last_stage + 1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        bits, last_stage = len(self.last), self._last_stage
        classes = [Signal(bits, name=f"class_{n}", reset_less=n > 0) for n in range(last_stage + 1)]
        valid = Signal(last_stage + 1)
        ends = Signal(last_stage)
        is_last = valid[0] & (classes[0] == self.last)
        with m.If(self.start):
            m.d.sync += [valid[0].eq(1), classes[0].eq(0)]
        with m.Elif(valid[0]):
            m.d.sync += [valid[0].eq(~is_last), classes[0].eq(classes[0] + 1)]
        m.d.sync += [valid[1:].eq(valid), ends.eq(Cat(is_last, ends))]
        m.d.sync += [after.eq(before) for after, before in zip(classes[1:], classes, strict=False)]
        m.d.comb += [
            [self.class_[n].eq(class_) for n, class_ in enumerate(classes)],
            self.valid.eq(valid),
            self.ends.eq(Cat(is_last, ends)),
        ]
        return m
