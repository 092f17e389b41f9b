"""Gated adder of ECP5 devices."""

from amaranth import Cat, Const, Instance, Module, Signal

from opzo.hw.lib.primitives import GatedAdder

_SUM = 0xA96A
"""Truth table of a bit: A xor the other operand, which is B if C (add), not B if D (subtract), else 0. If the result is
0, both operands equal A and A is the carry; it is the entry of the table without C and D."""


class ECP5GatedAdder(GatedAdder):
    """Gated adder in a carry chain whose LUTs also contain the gates.

    One CCU2C for two bits; synthesis would spend an additional LUT per bit in front of the chain.
    """

    def elaborate(self, platform: object) -> Module:
        m = Module()
        # An additional bit below the lowest generates the carry-in of a subtraction.
        width = len(self.o) + 1
        pairs = -(-width // 2)
        a, b, o = (Signal(2 * pairs, name=name) for name in ("a_bits", "b_bits", "o_bits"))
        m.d.comb += [a.eq(Cat(1, self.a).as_signed()), b.eq(Cat(0, self.b).as_signed()), self.o.eq(o[1:width])]
        carry = Signal(pairs + 1)
        for n in range(pairs):
            m.submodules[f"pair_{n}"] = Instance(
                "CCU2C",
                p_INIT0=Const(_SUM, 16),
                p_INIT1=Const(_SUM, 16),
                p_INJECT1_0="NO",
                p_INJECT1_1="NO",
                i_CIN=carry[n] if n else Const(0, 1),
                **{
                    f"i_{port}{k}": value
                    for k in range(2)
                    for port, value in (("A", a[2 * n + k]), ("B", b[2 * n + k]), ("C", self.add), ("D", self.subtract))
                },
                o_S0=o[2 * n],
                o_S1=o[2 * n + 1],
                o_COUT=carry[n + 1],
            )
        return m
