"""Readouts of the present time step, and their differences from the step before."""

from typing import Any

from amaranth import Cat, Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from opzo.hw.error.ports import DIFFERENCE_BITS
from opzo.hw.error.readout_intake import ClassReadoutSignature, pipeline
from opzo.spec.formats import MEMBRANE
from opzo.spec.network import Limits


class ReadoutMemory(wiring.Component):
    """Store the readouts of a step, and at odd steps o[t-1] - o[t].

    Two memories. Readouts: word MEMBRANE, address local, class. Differences: word in the same unit, address class.

    Parameters
    ----------
    limits : Limits

    Members
    -------
    readout : In(ClassReadoutSignature)
    odd, local : In(1)
        Compute differences from what is stored; the readouts are local ones, which are stored apart from the network's
        and have no differences. Stable over the step.
    index : In
        Class whose readout ``stored`` is valid two cycles later, unless one came in the cycle of ``index``. A readout
        can be read two cycles after it came.
    difference_index : In
        Class whose ``difference`` is valid one cycle later. It can be read three cycles after the readout came.
    """

    readout: Any
    odd: Signal
    local: Signal
    index: Signal
    stored: Signal
    difference_index: Signal
    difference: Signal

    def __init__(self, limits: Limits) -> None:
        self.class_bits = limits.class_bits
        super().__init__(
            {
                "readout": In(ClassReadoutSignature(self.class_bits)),
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
        new, stored, subtracted = pipeline(m, self.readout.valid, self.readout, 2)
        m.d.sync += self.stored.eq(read.data)
        m.d.comb += [
            # The old readout is read one cycle before the new one is stored.
            read.addr.eq(Cat(Mux(new.valid, new.class_, self.index), self.local)),
            write.addr.eq(Cat(stored.class_, self.local)),
            write.data.eq(stored.value),
            write.en.eq(stored.valid),
            difference_write.addr.eq(subtracted.class_),
            difference_write.data.eq(self.stored - subtracted.value),
            difference_write.en.eq(subtracted.valid & self.odd & ~self.local),
            difference_read.addr.eq(self.difference_index),
            self.difference.eq(difference_read.data),
        ]
        return m
