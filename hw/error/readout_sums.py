"""Read-outs summed over the time steps of a sample, and the prediction."""

from amaranth import Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from opzo.spec.formats import MEMBRANE, OUTPUT_SUM
from opzo.spec.network import Limits

CYCLES = 5
"""From a read-out to its sum and its effect on ``best``."""


class OutputSums(wiring.Component):
    """Sum the read-outs of each class over the steps and find the class with the largest sum, the lowest of equals.

    Memory word: OUTPUT_SUM; address: class.

    Parameters
    ----------
    limits : Limits

    Members
    -------
    valid : In(1), number : In, o : In(signed)
        Strobed read-outs (MEMBRANE) of a step, class 0 to C - 1, one a cycle or slower.
    anew : In(1)
        Sums start with this step; stable over it.
    best : Out
        Prediction if no step follows, CYCLES after the last read-out of a step.
    sum_class : In
        Class whose ``sum_data`` is there one cycle later, where no read-out came in the cycle of ``sum_class``.
    sum_data : Out(signed)
    """

    valid: Signal
    number: Signal
    o: Signal
    anew: Signal
    best: Signal
    sum_class: Signal
    sum_data: Signal

    def __init__(self, limits: Limits) -> None:
        self.class_bits = ceil_log2(max(2, limits.classes))
        super().__init__(
            {
                "valid": In(1),
                "number": In(self.class_bits),
                "o": In(signed(MEMBRANE.width)),
                "anew": In(1),
                "best": Out(self.class_bits),
                "sum_class": In(self.class_bits),
                "sum_data": Out(signed(OUTPUT_SUM.width)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        memory: Memory = Memory(shape=signed(OUTPUT_SUM.width), depth=1 << self.class_bits, init=[])
        m.submodules.memory = memory
        write, read = memory.write_port(), memory.read_port()
        valid = [self.valid, *(Signal(name=f"valid_{n}") for n in range(1, 5))]
        number = [self.number, *(Signal(self.class_bits, name=f"number_{n}", reset_less=True) for n in range(1, 5))]
        o = [self.o, *(Signal(signed(MEMBRANE.width), name=f"o_{n}", reset_less=True) for n in range(1, 3))]
        old, total, compared, largest = (
            Signal(signed(OUTPUT_SUM.width), name=name, reset_less=True)
            for name in ("old", "total", "compared", "largest")
        )
        for n in range(4):
            m.d.sync += [valid[n + 1].eq(valid[n]), number[n + 1].eq(number[n])]
        for n in range(2):
            m.d.sync += o[n + 1].eq(o[n])
        m.d.comb += [
            read.addr.eq(Mux(self.valid, self.number, self.sum_class)),
            self.sum_data.eq(read.data),
            write.addr.eq(number[3]),
            write.data.eq(total),
            write.en.eq(valid[3]),
        ]
        # While a sum is compared, the one before it may be found to be the largest: it is compared with both.
        above_largest, above_compared = Signal(reset_less=True), Signal(reset_less=True)
        is_largest, was_largest = Signal(), Signal()
        m.d.comb += is_largest.eq(valid[4] & ((number[4] == 0) | Mux(was_largest, above_compared, above_largest)))
        m.d.sync += [
            old.eq(read.data),
            total.eq(Mux(self.anew, 0, old) + o[2]),
            compared.eq(total),
            above_largest.eq(total > largest),
            above_compared.eq(total > compared),
            was_largest.eq(is_largest),
        ]
        with m.If(is_largest):
            m.d.sync += [largest.eq(compared), self.best.eq(number[4])]
        return m
