"""Saturation of a signed value to fewer bits."""

from amaranth import Cat, Module, Mux, Signal
from amaranth import signed as signed_shape
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out


class Saturate(wiring.Component):
    """Clip a signed value of ``width_in`` bits to ``width_out`` bits. Combinational.

    Golden twin: ``opzo.sim.golden.saturate.saturate``.

    Members
    -------
    i : In(signed)
    o : Out(signed)
    saturated : Out(1)
        ``o`` differs from ``i``.
    """

    i: Signal
    o: Signal
    saturated: Signal

    def __init__(self, width_in: int, width_out: int) -> None:
        if not 1 < width_out <= width_in:
            raise ValueError(f"width_out must be in 2..{width_in}, not {width_out}")
        self._width_out = width_out
        super().__init__(
            {
                "i": In(signed_shape(width_in)),
                "o": Out(signed_shape(width_out)),
                "saturated": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        low, top = self.i[: self._width_out - 1], self.i[self._width_out - 1 :]
        sign = self.i[-1]
        m.d.comb += [
            # In range if all bits above the magnitude of the result are equal to the sign.
            self.saturated.eq(top.any() & ~top.all()),
            self.o.eq(Cat(Mux(self.saturated, (~sign).replicate(len(low)), low), sign)),
        ]
        return m
