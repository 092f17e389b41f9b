"""Shift of the gradients of a convolution, and the running sum of their magnitudes that decides it."""

from amaranth import Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from opzo.hw.lib.check import check
from opzo.spec.formats import (
    CONVOLUTION_RATE_BITS,
    GRADIENT,
    GRADIENT_SHIFT_MAX,
    MAGNITUDE_BITS,
    MAGNITUDE_DECAY_BITS,
    MAGNITUDE_UNIT_BITS,
)
from opzo.spec.limits import Limits
from opzo.spec.registers import LayerReg

SEARCH_CYCLES = LayerReg.WORDS.bits + CONVOLUTION_RATE_BITS + 2 * (GRADIENT_SHIFT_MAX + 1) + 3
"""From ``start`` to ``ready``, at most: a cycle for each bit of two factors, two for each shift that is tried."""
MAGNITUDE_CYCLES = 4
"""From a gradient to the running sum with it: magnitude, sum, running sum, saturated."""


class GradientScale(wiring.Component):
    """Find the smallest shift k with ``magnitude < words * rows * rate << k``, then sum up gradients.

    Golden twins: ``gradient_shift`` and ``magnitude_after`` of ``opzo.sim.golden.gradient``.

    Parameters
    ----------
    limits : Limits
        ``gradients`` bounds ``words * rows``.

    Members
    -------
    start : In(1)
        Strobe: a convolution is to be changed by its gradients. Settings are constant until the last gradient.
    words, rows : In
        Its words of a position and its rows.
    rate : In
        Register CONVOLUTION_RATE.
    magnitude : In
        Its register MAGNITUDE.
    shift : Out, ready : Out(1)
        Result, from ``ready`` until the next ``start``; SEARCH_CYCLES after ``start`` at the latest.
    gradient : In({valid 1, value signed})
        Strobed gradient of the first lane, while ``ready``.
    magnitude_after : Out
        New content of MAGNITUDE, MAGNITUDE_CYCLES after the last gradient, until the next ``start``.
    """

    start: Signal
    words: Signal
    rows: Signal
    rate: Signal
    magnitude: Signal
    shift: Signal
    ready: Signal
    gradient: data.View
    magnitude_after: Signal

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        super().__init__(
            {
                "start": In(1),
                "words": In(LayerReg.WORDS.bits),
                "rows": In(LayerReg.ROWS.bits),
                "rate": In(CONVOLUTION_RATE_BITS),
                "magnitude": In(MAGNITUDE_BITS),
                "shift": Out(range(GRADIENT_SHIFT_MAX + 1)),
                "ready": Out(1),
                "gradient": In(data.StructLayout({"valid": 1, "value": signed(GRADIENT.width)})),
                "magnitude_after": Out(MAGNITUDE_BITS),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        self._search(m)
        self._sum(m)
        check(m, "ready", ~self.gradient.valid | self.ready, "a gradient comes before its shift is known")
        return m

    def _search(self, m: Module) -> None:
        """Multiply the factors of the limit bit by bit, then shift the magnitude right until it is below the limit."""
        limit = Signal(range(self._limits.gradients * ((1 << CONVOLUTION_RATE_BITS) - 1) + 1))
        shifted = Signal.like(limit)
        factor = Signal(max(LayerReg.WORDS.bits, CONVOLUTION_RATE_BITS))
        left = Signal(MAGNITUDE_BITS)
        multiplying = Signal()
        found = Signal()
        # Registered: the comparison has a long carry chain.
        m.d.sync += found.eq((left < limit) | (self.shift == GRADIENT_SHIFT_MAX))
        with m.If(multiplying):
            m.d.sync += [shifted.eq(shifted << 1), factor.eq(factor >> 1)]
            with m.If(factor[0]):
                m.d.sync += limit.eq(limit + shifted)
        with m.FSM() as fsm:
            with m.State("WAIT"):
                with m.If(self.start):
                    m.d.sync += [
                        self.ready.eq(0),
                        self.shift.eq(0),
                        left.eq(self.magnitude),
                        limit.eq(0),
                        shifted.eq(self.rows),
                        factor.eq(self.words),
                    ]
                    m.next = "COUNT"
            with m.State("COUNT"):
                m.d.comb += multiplying.eq(factor != 0)
                with m.If(factor == 0):
                    m.d.sync += [limit.eq(0), shifted.eq(limit), factor.eq(self.rate)]
                    m.next = "LIMIT"
            with m.State("LIMIT"):
                m.d.comb += multiplying.eq(factor != 0)
                with m.If(factor == 0):
                    m.next = "COMPARE"
            with m.State("COMPARE"):
                m.next = "SEARCH"
            with m.State("SEARCH"):
                m.next = "COMPARE"
                with m.If(found):
                    m.d.sync += self.ready.eq(1)
                    m.next = "WAIT"
                with m.Else():
                    m.d.sync += [left.eq(left >> 1), self.shift.eq(self.shift + 1)]
        check(m, "start", ~self.start | fsm.ongoing("WAIT"), "a search starts before the last one has ended")

    def _sum(self, m: Module) -> None:
        """Sum of the magnitudes, and the running sum with it."""
        size = Signal(GRADIENT.width, reset_less=True)
        sized = Signal()
        total = Signal(range((self._limits.gradients << (GRADIENT.width - 1)) + 1))
        after = Signal(max(MAGNITUDE_BITS, len(total) - MAGNITUDE_UNIT_BITS) + 1, reset_less=True)
        value = self.gradient.value
        m.d.sync += [
            sized.eq(self.gradient.valid),
            size.eq(Mux(value < 0, -value, value)),
            after.eq(self.magnitude - (self.magnitude >> MAGNITUDE_DECAY_BITS) + (total >> MAGNITUDE_UNIT_BITS)),
            self.magnitude_after.eq(Mux(after[MAGNITUDE_BITS:].any(), ~0, after)),
        ]
        with m.If(self.start):
            m.d.sync += total.eq(0)
        with m.Elif(sized):
            m.d.sync += total.eq(total + size)
