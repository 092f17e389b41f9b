"""Gated adder of ECP5 devices."""

from amaranth import Const, Instance, Module, Signal

from opzo.hw.primitives import GatedAdder

_GATED = 0xA6AA
"""Truth table of a bit: with D, A xor (B where not C); without, A, which is the carry where that is 0."""


class ECP5GatedAdder(GatedAdder):
    """Gated adder in the carry chain, whose LUTs hold the gate too.

    One CCU2C for two bits; synthesis would spend a LUT a bit in front of them.
    """

    def elaborate(self, platform: object) -> Module:
        m = Module()
        width = len(self.o)
        pairs = -(-width // 2)
        a, b, o = (Signal(2 * pairs, name=name) for name in ("a_bits", "b_bits", "o_bits"))
        m.d.comb += [a.eq(self.a), b.eq(self.b), self.o.eq(o[:width])]
        off = Signal()
        m.d.comb += off.eq(~self.en)
        carry = Signal(pairs + 1)
        for n in range(pairs):
            m.submodules[f"pair_{n}"] = Instance(
                "CCU2C",
                p_INIT0=Const(_GATED, 16),
                p_INIT1=Const(_GATED, 16),
                p_INJECT1_0="NO",
                p_INJECT1_1="NO",
                i_CIN=carry[n] if n else Const(0, 1),
                **{
                    f"i_{port}{k}": value
                    for k in range(2)
                    for port, value in (("A", a[2 * n + k]), ("B", b[2 * n + k]), ("C", off), ("D", Const(1, 1)))
                },
                o_S0=o[2 * n],
                o_S1=o[2 * n + 1],
                o_COUT=carry[n + 1],
            )
        return m
