"""Readout shifter: takes the readouts of a word out of the chain, one a cycle."""

from amaranth import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from opzo.hw.lib.check import check
from opzo.spec.limits import Limits


class ReadoutShifter(wiring.Component):
    """Shift the chain after a word of readouts was loaded into it.

    The lanes obey ``shift`` two cycles late, so shifting starts before the load and gives a readout in every cycle.

    Members
    -------
    soon : In(1)
        Strobe: ``load`` follows in the next cycle.
    load : Out(1), lanes : In
        Strobe: the chain is loaded at the end of this cycle, with ``lanes`` readouts, at least one.
    shift : Out(1)
    valid : Out(1)
        The end of the chain is a readout.
    """

    def __init__(self, limits: Limits) -> None:
        count = range(limits.lanes + 1)
        super().__init__({"soon": In(1), "load": Out(1), "lanes": In(count), "shift": Out(1), "valid": Out(1)})

    soon: Signal
    load: Signal
    lanes: Signal
    shift: Signal
    valid: Signal

    def elaborate(self, platform: object) -> Module:
        m = Module()
        left = Signal.like(self.lanes)
        m.d.sync += self.load.eq(self.soon)
        with m.If(self.load):
            m.d.sync += left.eq(self.lanes)
        with m.Elif(left != 0):
            m.d.sync += left.eq(left - 1)
        check(m, "load", ~self.load | (left <= 1), "a word is loaded while readouts are left in the chain")
        m.d.comb += [
            self.valid.eq(left != 0),
            self.shift.eq(self.soon | self.load | (left > 1)),
        ]
        return m
