"""Multiplier block of ECP5 devices."""

from typing import Any

from amaranth import Cat, ClockSignal, Const, Instance, Module, Signal

from opzo.hw.lib.multiplier import WIDTH, Multiplier


class ECP5Multiplier(Multiplier):
    """`Multiplier` as one MULT18X18D with its input and output registers.

    yosys infers the multiplier from ``*`` but not its registers, which costs a third of the clock frequency.
    """

    def elaborate(self, platform: object) -> Module:
        m = Module()
        bits: dict[str, Any] = {f"i_A{n}": self.a[n] for n in range(WIDTH)}
        bits |= {f"i_B{n}": self.b[n] for n in range(WIDTH)}
        product = [Signal(name=f"product_{n}") for n in range(2 * WIDTH)]
        bits |= {f"o_P{n}": bit for n, bit in enumerate(product)}
        m.submodules.block = Instance(
            "MULT18X18D",
            p_REG_INPUTA_CLK="CLK0",
            p_REG_INPUTA_CE="CE0",
            p_REG_INPUTA_RST="RST0",
            p_REG_INPUTB_CLK="CLK0",
            p_REG_INPUTB_CE="CE0",
            p_REG_INPUTB_RST="RST0",
            p_REG_OUTPUT_CLK="CLK0",
            p_REG_OUTPUT_CE="CE0",
            p_REG_OUTPUT_RST="RST0",
            p_REG_INPUTC_CLK="NONE",
            p_REG_PIPELINE_CLK="NONE",
            p_SOURCEB_MODE="B_SHIFT",
            p_MULT_BYPASS="DISABLED",
            p_RESETMODE="SYNC",
            p_GSR="DISABLED",
            i_CLK0=ClockSignal(),
            i_CE0=Const(1),
            i_RST0=Const(0),
            i_SIGNEDA=Const(1),
            i_SIGNEDB=Const(1),
            i_SOURCEA=Const(0),
            i_SOURCEB=Const(0),
            **bits,
        )
        m.d.comb += self.product.eq(Cat(product))
        return m
