"""Units that a device family may replace with its own, where synthesis does not map the generic ones well."""

from collections.abc import Sequence

from amaranth import Module, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from opzo.hw.lib.multiplier import Multiplier
from opzo.hw.lib.row_memory import RowMemory


class GatedAdder(wiring.Component):
    """Combinational ``o = a + b``, ``a - b`` or ``a``; modulo 2**width.

    Members
    -------
    a, b : In(signed)
    add, subtract : In(1)
        Add or subtract ``b``; at most one is set.
    o : Out(signed)
    """

    a: Signal
    b: Signal
    add: Signal
    subtract: Signal
    o: Signal

    def __init__(self, width: int) -> None:
        number = signed(width)
        super().__init__({"a": In(number), "b": In(number), "add": In(1), "subtract": In(1), "o": Out(number)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        gated = Signal.like(self.b)
        m.d.comb += [
            gated.eq((self.b & self.add.replicate(len(self.b))) | (~self.b & self.subtract.replicate(len(self.b)))),
            self.o.eq(self.a + gated + self.subtract),
        ]
        return m


class Primitives:
    """The generic units. A subclass in the attribute ``primitives`` of a platform returns those of a device family.

    A family's unit is a subclass of the generic one, with the same ports, arithmetic and latency.
    """

    def multiplier(self) -> Multiplier:
        """Multiplier of a lane."""
        return Multiplier()

    def gated_adder(self, width: int) -> GatedAdder:
        """Gated adder of ``width`` bits."""
        return GatedAdder(width)

    def row_memory(self, rows: int, width: int, contents: Sequence[int] | None = None) -> RowMemory:
        """Row memory of a group of lanes, only read where it has ``contents``."""
        return RowMemory(rows, width, contents)


GENERIC = Primitives()


def primitives(platform: object) -> Primitives:
    """Units to use on ``platform``, which may be None."""
    chosen: Primitives = getattr(platform, "primitives", GENERIC)
    return chosen
