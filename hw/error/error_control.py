"""Control of the error unit: collect a step's readouts, sum their powers, divide, scale the errors."""

from amaranth import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out


class ErrorControl(wiring.Component):
    """Lead one step after another through the pipelines; without ``learn`` only as far as its loss.

    Parameters
    ----------
    divide_cycles : int
        From ``divide`` to the start of the walk that uses the quotient.
    loss_cycles : int
        From ``divide`` to the loss, fewer than ``divide_cycles``.

    Members
    -------
    start, learn : In(1)
        Strobe: a step begins; whether its errors are computed.
    collected, summed, scaled : In(1)
        Strobes: the last readout, the last power, the last error of the step.
    idle, collecting, summing, dividing, scaling : Out(1)
        What is being done.
    walk : Out(1)
        Strobe: a walk over the classes begins.
    divide : Out(1)
        Strobe: the sum of the powers is complete.
    loss_ready : Out(1)
        Strobe: the loss of the step is valid, and with ``learn`` the scaled one.
    done : Out(1)
        Strobe: the last cycle of the step.
    """

    start: In(1)
    learn: In(1)
    collected: In(1)
    summed: In(1)
    scaled: In(1)
    idle: Out(1)
    collecting: Out(1)
    summing: Out(1)
    dividing: Out(1)
    scaling: Out(1)
    walk: Out(1)
    divide: Out(1)
    loss_ready: Out(1)
    done: Out(1)

    def __init__(self, divide_cycles: int, loss_cycles: int) -> None:
        if not loss_cycles < divide_cycles:
            raise ValueError(f"loss_cycles must be less than the {divide_cycles} of the division, not {loss_cycles}")
        self._divide_cycles, self._loss_cycles = divide_cycles, loss_cycles
        super().__init__()

    def elaborate(self, platform: object) -> Module:
        m = Module()
        division = Signal(range(self._divide_cycles + 2))
        divided = Signal()
        m.d.comb += divided.eq(division == self._divide_cycles)
        with m.FSM() as fsm:
            with m.State("IDLE"):
                with m.If(self.start):
                    m.next = "COLLECT"
            with m.State("COLLECT"):
                with m.If(self.collected):
                    m.d.comb += self.walk.eq(1)
                    m.next = "SUM"
            with m.State("SUM"):
                m.d.sync += division.eq(0)
                with m.If(self.summed):
                    m.d.comb += self.divide.eq(1)
                    m.next = "DIVIDE"
            with m.State("DIVIDE"):
                m.d.sync += division.eq(division + 1)
                with m.If(divided):
                    m.d.comb += [self.walk.eq(1), self.loss_ready.eq(1)]
                    m.next = "SCALE"
                with m.If(~self.learn & (division == self._loss_cycles)):
                    m.d.comb += [self.loss_ready.eq(1), self.done.eq(1)]
                    m.next = "IDLE"
            with m.State("SCALE"):
                with m.If(self.scaled):
                    m.d.comb += self.done.eq(1)
                    m.next = "IDLE"
        m.d.comb += [
            self.idle.eq(fsm.ongoing("IDLE")),
            self.collecting.eq(fsm.ongoing("COLLECT")),
            self.summing.eq(fsm.ongoing("SUM")),
            self.dividing.eq(fsm.ongoing("DIVIDE")),
            self.scaling.eq(fsm.ongoing("SCALE")),
        ]
        return m
