"""Requests to refresh the SDRAM."""

from amaranth import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out


class RefreshTimer(wiring.Component):
    """Request a refresh every ``period`` cycles, whenever the last one was.

    Members
    -------
    tick : Out(1)
        Strobe, every ``period`` cycles.
    due : Out(1)
        From the cycle after a tick until the refresh is done.
    done : In(1)
        Strobe: the chip is refreshed.
    """

    tick: Out(1)
    due: Out(1)
    done: In(1)

    def __init__(self, period: int) -> None:
        if period < 2:
            raise ValueError(f"period must be 2 or more, not {period}")
        self._period = period
        super().__init__()

    def elaborate(self, platform: object) -> Module:
        m = Module()
        left = Signal(range(self._period), init=self._period - 1)
        m.d.comb += self.tick.eq(left == 0)
        m.d.sync += left.eq(left - 1)
        with m.If(self.done):
            m.d.sync += self.due.eq(0)
        with m.If(self.tick):
            m.d.sync += [left.eq(self._period - 1), self.due.eq(1)]
        return m
