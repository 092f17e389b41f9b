"""Random generator of one lane."""

from amaranth import Cat, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from opzo.spec.formats import DRAW_BITS, LFSR_BITS, LFSR_TAPS


class LaneLFSR(wiring.Component):
    """Linear feedback shift register that advances by DRAW_BITS bits per draw.

    Bit i of the state is bit n + i of the sequence. The state is 0 until it is loaded; a reset does not change it. At
    most one of ``load_low``, ``load_high`` and ``draw`` is set. Golden twin: ``opzo.sim.golden.lfsr.LaneLFSRs``.

    Members
    -------
    draw : In(1)
        Strobe: new ``bits`` from the next cycle on.
    bits : Out(DRAW_BITS)
        Top half of ``state``.
    load_low, load_high : In(1)
        Strobes: load one half of the state.
    load_data : In(DRAW_BITS)
    state : Out(LFSR_BITS)
    """

    draw: In(1)
    bits: Out(DRAW_BITS)
    load_low: In(1)
    load_high: In(1)
    load_data: In(DRAW_BITS)
    state: Out(LFSR_BITS)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        # All new bits of a draw depend on the present state alone.
        assert LFSR_TAPS[-1] + DRAW_BITS <= LFSR_BITS
        state = Signal(LFSR_BITS, reset_less=True)
        low, high = state[:DRAW_BITS], state[DRAW_BITS:]
        fresh = Signal(DRAW_BITS)
        for position in range(DRAW_BITS):
            m.d.comb += fresh[position].eq(Cat(state[position + tap] for tap in LFSR_TAPS).xor())
        with m.If(self.draw):
            m.d.sync += state.eq(Cat(high, fresh))
        with m.If(self.load_low):
            m.d.sync += low.eq(self.load_data)
        with m.If(self.load_high):
            m.d.sync += high.eq(self.load_data)
        m.d.comb += [self.state.eq(state), self.bits.eq(high)]
        return m
