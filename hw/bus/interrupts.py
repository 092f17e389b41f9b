"""Interrupts of the chip behind a bus."""

from amaranth import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from opzo.spec.bus import Interrupt

KINDS = len(Interrupt)


class Interrupts(wiring.Component):
    """Remember what has happened until it is cleared; what happens in the cycle of ``clear`` stays.

    Members
    -------
    idle : In(1)
        Level: Interrupt.IDLE happens when it becomes 1.
    happened, clear : In(KINDS)
        Strobes, one for each `Interrupt`.
    new_enable, enable_en
        Set ``enable``.
    pending, enable : Out(KINDS)
    interrupt : Out(1)
        Some pending one is enabled; one cycle later.
    """

    idle: In(1)
    happened: In(KINDS)
    clear: In(KINDS)
    new_enable: In(KINDS)
    enable_en: In(1)
    pending: Out(KINDS)
    enable: Out(KINDS)
    interrupt: Out(1)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        was_idle = Signal(init=1)
        news = Signal(KINDS)
        m.d.comb += news.eq(self.happened | (self.idle & ~was_idle) << Interrupt.IDLE)
        m.d.sync += [
            was_idle.eq(self.idle),
            self.pending.eq(self.pending & ~self.clear | news),
            self.interrupt.eq((self.pending & self.enable).any()),
        ]
        with m.If(self.enable_en):
            m.d.sync += self.enable.eq(self.new_enable)
        return m
