"""Softmax over the classes: powers, their sum, and the sum's reciprocal."""

from amaranth import Module, Signal, Value, signed
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from opzo.hw.lib.exponential import EXPONENT_BITS, EXPONENT_CYCLES, POWER_BITS, POWER_CYCLES, Exponential
from opzo.hw.lib.multiplier import WIDTH
from opzo.hw.lib.primitives import primitives
from opzo.hw.lib.reciprocal import Reciprocal
from opzo.spec.formats import MEMBRANE
from opzo.spec.limits import Limits

PRODUCT_CYCLES = 3
"""From ``read_class`` to ``product``."""


class Softmax(wiring.Component):
    """Sum the powers of all classes, then divide each by the sum.

    Golden twin: ``opzo.sim.golden.error.error_step``. Memory word: power; address: class. A device that only infers
    sums them for the loss and divides nothing.

    Parameters
    ----------
    limits : Limits

    Members
    -------
    clear : In(1)
        Strobe before the first readout.
    valid : In(1), class_ : In, is_label : In(1), readout : In(signed), largest : In(signed)
        Strobed readouts and the largest of them, MEMBRANE. The power enters the sum POWER_CYCLES later and is stored.
    divide : In(1)
        Strobe together with the last power, or later; the quotient takes `reciprocal.CYCLES`.
    total : Out
        Sum of the powers so far.
    label_exponent : Out
        Exponent of the label's power.
    read_class : In
        Class whose ``product`` of power and reciprocal, 32 fraction bits, is valid PRODUCT_CYCLES later.
    product : Out
    """

    clear: Signal
    valid: Signal
    class_: Signal
    is_label: Signal
    readout: Signal
    largest: Signal
    divide: Signal
    total: Signal
    label_exponent: Signal
    read_class: Signal
    product: Signal

    def __init__(self, limits: Limits) -> None:
        self.class_bits, self._learning = limits.class_bits, limits.learning
        self.total_bits = self.class_bits + POWER_BITS
        super().__init__(
            {
                "clear": In(1),
                "valid": In(1),
                "class_": In(self.class_bits),
                "is_label": In(1),
                "readout": In(signed(MEMBRANE.width)),
                "largest": In(signed(MEMBRANE.width)),
                "divide": In(1),
                "total": Out(self.total_bits),
                "label_exponent": Out(EXPONENT_BITS),
                "read_class": In(self.class_bits),
                "product": Out(2 * WIDTH),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.exponential = exponential = Exponential()

        stages = range(1, POWER_CYCLES + 1)
        valid = [self.valid, *(Signal(name=f"valid_{n}") for n in stages)]
        class_ = [self.class_, *(Signal(self.class_bits, name=f"class_{n}", reset_less=True) for n in stages)]
        is_label = [self.is_label, *(Signal(name=f"is_label_{n}", reset_less=True) for n in stages)]
        for n in stages:
            m.d.sync += [valid[n].eq(valid[n - 1]), class_[n].eq(class_[n - 1]), is_label[n].eq(is_label[n - 1])]
        m.d.comb += [exponential.o.eq(self.readout), exponential.top.eq(self.largest)]
        with m.If(self.clear):
            m.d.sync += self.total.eq(0)
        with m.Elif(valid[POWER_CYCLES]):
            m.d.sync += self.total.eq(self.total + exponential.power)
        with m.If(valid[EXPONENT_CYCLES] & is_label[EXPONENT_CYCLES]):
            m.d.sync += self.label_exponent.eq(exponential.exponent)
        if self._learning:
            self._divide(m, platform, valid[POWER_CYCLES], class_[POWER_CYCLES], exponential.power)
        return m

    def _divide(self, m: Module, platform: object, valid: Value, class_: Signal, power: Signal) -> None:
        """Keep the ``power`` of a class, and multiply it with the reciprocal of the sum."""
        m.submodules.reciprocal = reciprocal = Reciprocal(self.total_bits)
        m.submodules.multiplier = multiplier = primitives(platform).multiplier()
        memory: Memory = Memory(shape=POWER_BITS, depth=1 << self.class_bits, init=[])
        m.submodules.memory = memory
        write = memory.write_port()
        read = memory.read_port()
        m.d.comb += [
            write.addr.eq(class_),
            write.data.eq(power),
            write.en.eq(valid),
            reciprocal.start.eq(self.divide),
            reciprocal.divisor.eq(self.total),
            read.addr.eq(self.read_class),
            multiplier.a.eq(read.data),
            multiplier.b.eq(reciprocal.quotient),
            self.product.eq(multiplier.product),
        ]
