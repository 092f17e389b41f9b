"""Read-outs of the present time step, and their differences from the step before."""

from amaranth import Cat, Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from opzo.spec.formats import MEMBRANE
from opzo.spec.network import Limits

DIFFERENCE_BITS = MEMBRANE.width + 1


class ReadoutMemory(wiring.Component):
    """Keep the read-outs of a step, and at odd steps o[t-1] - o[t].

    Two memories; words: MEMBRANE, and the difference in the same unit; address: class, and local above it.

    Parameters
    ----------
    limits : Limits

    Members
    -------
    valid : In(1), number : In, o : In(signed)
        Strobed read-outs of a step, each class once.
    odd, local : In(1)
        Compute differences from what was stored before; keep the read-outs apart from those with the other value of
        ``local``, without differences. Stable over the step.
    index : In
        Class whose read-out ``stored`` is there two cycles later, where none came in the cycle of ``index``. A read-out
        can be read two cycles after it came.
    difference_index : In
        Class whose ``difference`` is there one cycle later. It can be read three cycles after the read-out came.
    """

    valid: Signal
    number: Signal
    o: Signal
    odd: Signal
    local: Signal
    index: Signal
    stored: Signal
    difference_index: Signal
    difference: Signal

    def __init__(self, limits: Limits) -> None:
        self.class_bits = ceil_log2(max(2, limits.classes))
        super().__init__(
            {
                "valid": In(1),
                "number": In(self.class_bits),
                "o": In(signed(MEMBRANE.width)),
                "odd": In(1),
                "local": In(1),
                "index": In(self.class_bits),
                "stored": Out(signed(MEMBRANE.width)),
                "difference_index": In(self.class_bits),
                "difference": Out(signed(DIFFERENCE_BITS)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        depth = 1 << self.class_bits
        readouts: Memory = Memory(shape=signed(MEMBRANE.width), depth=2 * depth, init=[])
        differences: Memory = Memory(shape=signed(DIFFERENCE_BITS), depth=depth, init=[])
        m.submodules.readouts, m.submodules.differences = readouts, differences
        write, read = readouts.write_port(), readouts.read_port()
        difference_write, difference_read = differences.write_port(), differences.read_port()
        valid = [self.valid, *(Signal(name=f"valid_{n}") for n in range(1, 3))]
        number = [self.number, *(Signal(self.class_bits, name=f"number_{n}", reset_less=True) for n in range(1, 3))]
        o = [self.o, *(Signal(signed(MEMBRANE.width), name=f"o_{n}", reset_less=True) for n in range(1, 3))]
        for n in range(2):
            m.d.sync += [valid[n + 1].eq(valid[n]), number[n + 1].eq(number[n]), o[n + 1].eq(o[n])]
        m.d.sync += self.stored.eq(read.data)
        m.d.comb += [
            # The old read-out is read one cycle before the new one takes its place.
            read.addr.eq(Cat(Mux(self.valid, self.number, self.index), self.local)),
            write.addr.eq(Cat(number[1], self.local)),
            write.data.eq(o[1]),
            write.en.eq(valid[1]),
            difference_write.addr.eq(number[2]),
            difference_write.data.eq(self.stored - o[2]),
            difference_write.en.eq(valid[2] & self.odd & ~self.local),
            difference_read.addr.eq(self.difference_index),
            self.difference.eq(difference_read.data),
        ]
        return m
