"""Readouts of a time step as they come in: their classes, and the largest of them."""

from typing import Any, NamedTuple

from amaranth import Module, Signal, Value, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, Signature

from opzo.hw.error.ports import ReadoutSignature
from opzo.spec.formats import MEMBRANE


class ClassReadoutSignature(Signature):
    """Strobed readout ``value`` (MEMBRANE) of class ``class_``: classes 0 to C - 1, one a cycle or slower."""

    def __init__(self, class_bits: int) -> None:
        super().__init__({"valid": Out(1), "class_": Out(class_bits), "value": Out(signed(MEMBRANE.width))})


class Stage(NamedTuple):
    """A readout some cycles after it came in."""

    valid: Value
    class_: Signal
    value: Signal


def pipeline(m: Module, valid: Value, readout: Any, cycles: int) -> list[Stage]:
    """Stages of ``readout`` where ``valid``, from 0 to ``cycles`` cycles later."""
    stages = [Stage(valid, readout.class_, readout.value)]
    for n in range(1, cycles + 1):
        before = stages[-1]
        stage = Stage(
            Signal(name=f"valid_{n}"),
            Signal.like(before.class_, name=f"class_{n}", reset_less=True),
            Signal.like(before.value, name=f"value_{n}", reset_less=True),
        )
        m.d.sync += [after.eq(earlier) for after, earlier in zip(stage, before, strict=True)]
        stages.append(stage)
    return stages


class ReadoutIntake(wiring.Component):
    """Number the readouts of a step and find the largest.

    Parameters
    ----------
    class_bits : int
        Bits of a class.

    Members
    -------
    clear : In(1)
        Strobe: the next readout is that of class 0.
    readout : In(ReadoutSignature)
    numbered : Out(ClassReadoutSignature)
        The same, one cycle later.
    largest : Out(signed)
        Largest readout of the step so far, two cycles after ``numbered``.
    """

    clear: Signal
    readout: Any
    numbered: Any
    largest: Signal

    def __init__(self, class_bits: int) -> None:
        super().__init__(
            {
                "clear": In(1),
                "readout": In(ReadoutSignature()),
                "numbered": Out(ClassReadoutSignature(class_bits)),
                "largest": Out(signed(MEMBRANE.width)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        numbered = self.numbered
        value = Signal.like(numbered.value, reset_less=True)
        largest = Signal.like(self.largest, reset_less=True)
        class_, next_class = (Signal.like(numbered.class_, name=n, reset_less=True) for n in ("class_", "next_class"))
        m.d.sync += [numbered.valid.eq(self.readout.valid), value.eq(self.readout.value), class_.eq(next_class)]
        m.d.comb += [numbered.value.eq(value), numbered.class_.eq(class_), self.largest.eq(largest)]
        with m.If(self.readout.valid):
            m.d.sync += next_class.eq(next_class + 1)
        with m.If(self.clear):
            m.d.sync += next_class.eq(0)
        # Compared one cycle later than it is stored: the walk over the classes begins later than that.
        late = Signal.like(value, reset_less=True)
        is_first = Signal()
        is_later = Signal()
        m.d.sync += [
            late.eq(value),
            is_first.eq(numbered.valid & (class_ == 0)),
            is_later.eq(numbered.valid & (class_ != 0)),
        ]
        with m.If(is_first | (is_later & (late > largest))):
            m.d.sync += largest.eq(late)
        return m
