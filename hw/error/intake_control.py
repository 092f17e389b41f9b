"""Control of the intake of the error unit: the readouts of a step come in while those of the step before are used."""

from amaranth import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out


class IntakeControl(wiring.Component):
    """Follow a step from its start until the error unit takes it, and tell when the next one may start.

    Members
    -------
    start : In(1)
        Strobe: a step starts; not while ``filling`` or ``complete``.
    collected : In(1)
        Strobe: the last readout of the step.
    taken : In(1)
        Strobe: the error unit takes the complete step.
    closing : In(1)
        Strobe: the error unit can soon take a step.
    filling : Out(1)
        Readouts of the step are missing.
    complete : Out(1)
        All readouts of the step are there, from the cycle of ``collected`` to that of ``taken``.
    room : Out(1)
        Strobe, once a step: the step is taken soon, not earlier than ``collected`` and ``closing``.
    """

    start: In(1)
    collected: In(1)
    taken: In(1)
    closing: In(1)
    filling: Out(1)
    complete: Out(1)
    room: Out(1)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        with m.FSM() as fsm:
            with m.State("IDLE"):
                with m.If(self.start):
                    m.next = "FILL"
            with m.State("FILL"):
                with m.If(self.collected):
                    m.d.comb += self.complete.eq(1)
                    m.next = "WAIT"
                with m.If(self.taken):
                    m.next = "IDLE"
            with m.State("WAIT"):
                m.d.comb += self.complete.eq(1)
                with m.If(self.taken):
                    m.next = "IDLE"
        closed = Signal(init=1)
        announced = Signal()
        m.d.comb += [
            self.filling.eq(fsm.ongoing("FILL")),
            self.room.eq(self.complete & (self.closing | closed) & ~announced),
        ]
        with m.If(self.taken):
            m.d.sync += [closed.eq(0), announced.eq(0)]
        with m.Else():
            m.d.sync += [closed.eq(closed | self.closing), announced.eq(announced | self.room)]
        return m
