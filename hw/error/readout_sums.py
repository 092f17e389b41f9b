"""Readouts summed over the time steps of a sample, and the prediction."""

from typing import Any

from amaranth import Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from opzo.hw.error.readout_intake import ClassReadoutSignature, pipeline
from opzo.spec.formats import OUTPUT_SUM
from opzo.spec.limits import Limits

CYCLES = 5
"""From a readout to its sum and its effect on ``best``."""


class ReadoutSums(wiring.Component):
    """Sum the readouts of each class over the steps and find the class with the largest sum, the lowest of equals.

    Memory word: OUTPUT_SUM; address: class.

    Parameters
    ----------
    limits : Limits

    Members
    -------
    readout : In(ClassReadoutSignature)
    local : In(1)
        The readouts of this step are local ones, which are not summed; stable over the step.
    restart : In(1)
        The sums begin with this step; stable over it.
    best : Out
        Prediction if no step follows, CYCLES after the last readout of a step.
    sum_class : In
        Class whose ``sum_data`` is valid one cycle later, unless a readout came in the cycle of ``sum_class``.
    sum_data : Out(signed)
    """

    readout: Any
    local: Signal
    restart: Signal
    best: Signal
    sum_class: Signal
    sum_data: Signal

    def __init__(self, limits: Limits) -> None:
        self.class_bits = limits.class_bits
        super().__init__(
            {
                "readout": In(ClassReadoutSignature(self.class_bits)),
                "local": In(1),
                "restart": In(1),
                "best": Out(self.class_bits),
                "sum_class": In(self.class_bits),
                "sum_data": Out(signed(OUTPUT_SUM.width)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        memory: Memory = Memory(shape=signed(OUTPUT_SUM.width), depth=1 << self.class_bits, init=[])
        m.submodules.memory = memory
        write = memory.write_port()
        read = memory.read_port()
        counts = self.readout.valid & ~self.local
        stages = pipeline(m, counts, self.readout, 4)
        old, total, compared, largest = (
            Signal(signed(OUTPUT_SUM.width), name=name, reset_less=True)
            for name in ("old", "total", "compared", "largest")
        )
        m.d.comb += [
            read.addr.eq(Mux(counts, self.readout.class_, self.sum_class)),
            self.sum_data.eq(read.data),
            write.addr.eq(stages[3].class_),
            write.data.eq(total),
            write.en.eq(stages[3].valid),
        ]
        # While a sum is compared, the one before it may be found to be the largest: it is compared with both.
        above_largest = Signal(reset_less=True)
        above_compared = Signal(reset_less=True)
        is_largest = Signal()
        was_largest = Signal()
        above = Mux(was_largest, above_compared, above_largest)
        m.d.comb += is_largest.eq(stages[4].valid & ((stages[4].class_ == 0) | above))
        m.d.sync += [
            old.eq(read.data),
            total.eq(Mux(self.restart, 0, old) + stages[2].value),
            compared.eq(total),
            above_largest.eq(total > largest),
            above_compared.eq(total > compared),
            was_largest.eq(is_largest),
        ]
        with m.If(is_largest):
            m.d.sync += [largest.eq(compared), self.best.eq(stages[4].class_)]
        return m
