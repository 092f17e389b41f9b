"""Control of the error unit: sum the powers of a step's readouts, divide, scale the errors."""

from amaranth import Const, Module, Signal
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
    learning : bool
        Whether ``learn`` may ever be set.

    Members
    -------
    complete, learn : In(1)
        The readouts of a step are complete; whether errors are computed.
    summed, scaled : In(1)
        Strobes: the last power, the last error of the step.
    idle, summing, dividing, scaling : Out(1)
        What is being done.
    taken : Out(1)
        Strobe: the complete step begins.
    walk : Out(1)
        Strobe: a walk over the classes begins.
    divide : Out(1)
        Strobe: the sum of the powers is complete.
    loss_ready : Out(1)
        Strobe: the loss of the step is valid, and with ``learn`` the scaled one.
    done : Out(1)
        Strobe: the last cycle of the step.
    """

    complete: In(1)
    learn: In(1)
    summed: In(1)
    scaled: In(1)
    idle: Out(1)
    taken: Out(1)
    summing: Out(1)
    dividing: Out(1)
    scaling: Out(1)
    walk: Out(1)
    divide: Out(1)
    loss_ready: Out(1)
    done: Out(1)

    def __init__(self, divide_cycles: int, loss_cycles: int, *, learning: bool = True) -> None:
        if not loss_cycles < divide_cycles:
            raise ValueError(f"loss_cycles must be less than the {divide_cycles} of the division, not {loss_cycles}")
        self._divide_cycles, self._loss_cycles, self._learning = divide_cycles, loss_cycles, learning
        super().__init__()

    def elaborate(self, platform: object) -> Module:
        m = Module()
        division = Signal(range(self._divide_cycles + 2))
        divided = Signal()
        learn = self.learn if self._learning else Const(0)
        m.d.comb += divided.eq(division == self._divide_cycles)
        with m.FSM() as fsm:
            with m.State("IDLE"):
                with m.If(self.complete):
                    m.d.comb += [self.taken.eq(1), self.walk.eq(1)]
                    m.next = "SUM"
            with m.State("SUM"):
                m.d.sync += division.eq(0)
                with m.If(self.summed):
                    m.d.comb += self.divide.eq(1)
                    m.next = "DIVIDE"
            with m.State("DIVIDE"):
                m.d.sync += division.eq(division + 1)
                if self._learning:
                    with m.If(divided):
                        m.d.comb += [self.walk.eq(1), self.loss_ready.eq(1)]
                        m.next = "SCALE"
                with m.If(~learn & (division == self._loss_cycles)):
                    m.d.comb += [self.loss_ready.eq(1), self.done.eq(1)]
                    m.next = "IDLE"
            if self._learning:
                with m.State("SCALE"):
                    with m.If(self.scaled):
                        m.d.comb += self.done.eq(1)
                        m.next = "IDLE"
                m.d.comb += self.scaling.eq(fsm.ongoing("SCALE"))
        m.d.comb += [
            self.idle.eq(fsm.ongoing("IDLE")),
            self.summing.eq(fsm.ongoing("SUM")),
            self.dividing.eq(fsm.ongoing("DIVIDE")),
        ]
        return m
