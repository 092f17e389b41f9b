"""Step of a weight by its gradient."""

from amaranth import Module, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from opzo.hw.lib.saturate import Saturate
from opzo.spec.formats import GRADIENT, GRADIENT_SHIFT_MAX, GRADIENT_STEP

_FINE_BITS = 3
"""Bits of the shift by ones."""


class GradientStep(wiring.Component):
    """Shift a gradient right, round half up, saturate to GRADIENT_STEP.

    Latency STEP_CYCLES, one gradient a cycle. Golden twin: ``opzo.sim.golden.gradient.gradient_step``.

    Members
    -------
    gradient : In(signed)
        GRADIENT.
    shift : In
        0 to GRADIENT_SHIFT_MAX; constant while gradients are on their way.
    step : Out(signed)
    """

    gradient: In(signed(GRADIENT.width))
    shift: In(range(GRADIENT_SHIFT_MAX + 1))
    step: Out(signed(GRADIENT_STEP.width))

    def elaborate(self, platform: object) -> Module:
        m = Module()
        # One fraction bit, so that the last stage rounds half up; with shift 0 it is 0.
        width = GRADIENT.width + 1
        coarse, fine = (Signal(signed(width), name=name, reset_less=True) for name in ("coarse", "fine"))
        m.submodules.saturate = saturate = Saturate(width, GRADIENT_STEP.width)
        m.d.comb += saturate.i.eq((fine + 1) >> 1)
        m.d.sync += [
            coarse.eq((self.gradient << 1) >> (self.shift[_FINE_BITS:] << _FINE_BITS)),
            fine.eq(coarse >> self.shift[:_FINE_BITS]),
            self.step.eq(saturate.o),
        ]
        return m
