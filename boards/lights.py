"""LEDs that stay on long enough to be seen."""

from amaranth import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

SECONDS = 0.05
"""Shortest time in seconds that a light is on; at most twice as long after a strobe."""


class Lights(wiring.Component):
    """Stretch strobes.

    Parameters
    ----------
    count : int
        Lights.
    cycles : int
        Fewest clock cycles that a light is on.

    Members
    -------
    strobe : In(count)
        One bit a light.
    on : Out(count)
        High for ``cycles`` to twice as many after the last strobe.
    """

    strobe: Signal
    on: Signal

    def __init__(self, count: int, cycles: int) -> None:
        if cycles < 1:
            raise ValueError(f"a light is on for 1 or more cycles, not {cycles}")
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
