"""LEDs that stay on long enough to be seen."""

from amaranth import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

SECONDS = 0.05
"""Shortest time in seconds that an LED is on; after a strobe it is on for at most twice as long."""


class Lights(wiring.Component):
    """Stretch strobes to a visible length.

    Parameters
    ----------
    count : int
        Number of LEDs.
    cycles : int
        Minimum number of clock cycles that an LED is on.

    Members
    -------
    strobe : In(count)
        One bit per LED.
    on : Out(count)
        High for ``cycles`` to ``2 * cycles`` clock cycles after the last strobe.
    """

    strobe: Signal
    on: Signal

    def __init__(self, count: int, cycles: int) -> None:
        if cycles < 1:
            raise ValueError(f"cycles must be 1 or more, not {cycles}")
        self._count, self._cycles = count, cycles
        super().__init__({"strobe": In(count), "on": Out(count)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        timer = Signal(range(self._cycles + 1))
        tick = Signal()
        recent = Signal(self._count)
        m.d.comb += tick.eq(timer == 0)
        m.d.sync += timer.eq(timer - 1)
        with m.If(tick):
            m.d.sync += [timer.eq(self._cycles - 1), self.on.eq(recent), recent.eq(0)]
        for light in range(self._count):
            with m.If(self.strobe[light]):
                m.d.sync += [recent[light].eq(1), self.on[light].eq(1)]
        return m
