"""Lattice ECP5: units, PLL, tools."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from amaranth import Const, Instance, Module, Signal, Value

from opzo.boards.board import Resources
from opzo.boards.families.block_rams import fix_block_rams
from opzo.boards.families.ecp5_adder import ECP5GatedAdder
from opzo.boards.families.ecp5_dies import DIES
from opzo.boards.families.ecp5_multiplier import ECP5Multiplier
from opzo.boards.families.floorplan import floorplan
from opzo.boards.families.flow import NETLIST, ROUTED, OpenFlow, Step, oscillator
from opzo.boards.families.pll import Pll, PllRange
from opzo.hw.lib.primitives import Primitives


class ECP5Primitives(Primitives):
    """Units built from the device's multiplier blocks and carry chains."""

    def multiplier(self) -> ECP5Multiplier:
        return ECP5Multiplier()

    def gated_adder(self, width: int) -> ECP5GatedAdder:
        return ECP5GatedAdder(width)


class ECP5(OpenFlow):
    """Project Trellis: yosys, nextpnr-ecp5, ecppack."""

    tools = ("yosys", "nextpnr-ecp5", "ecppack")
    pll = PllRange(
        references=range(1, 129),
        feedbacks=range(1, 81),
        posts=range(1, 129),
        comparator=(3.125, 400),
        vco=(400, 800),
        output=(3.125, 400),
        from_output=True,
    )
    primitives = ECP5Primitives()
    # The multiplexers of wide look-up tables cost more in routing than they save.
    synthesis_options = "-nowidelut"
    netlists: ClassVar[Mapping[str, str]] = {NETLIST: NETLIST, ROUTED: ROUTED}

    def add_pll(self, m: Module, platform: Any, pll: Pll, clock: Signal, locked: Signal) -> None:
        m.submodules.pll = Instance(
            "EHXPLLL",
            # Charge pump and loop filter, as the vendor's tool sets them for an integer feedback.
            a_ICP_CURRENT="12",
            a_LPF_RESISTOR="8",
            a_MFG_ENABLE_FILTEROPAMP="1",
            a_MFG_GMCREF_SEL="2",
            p_PLLRST_ENA="DISABLED",
            p_INTFB_WAKE="DISABLED",
            p_STDBY_ENABLE="DISABLED",
            p_DPHASE_SOURCE="DISABLED",
            p_OUTDIVIDER_MUXA="DIVA",
            p_OUTDIVIDER_MUXB="DIVB",
            p_OUTDIVIDER_MUXC="DIVC",
            p_OUTDIVIDER_MUXD="DIVD",
            p_CLKOP_ENABLE="ENABLED",
            p_CLKI_DIV=pll.reference,
            p_CLKFB_DIV=pll.feedback,
            p_CLKOP_DIV=pll.post,
            p_CLKOP_CPHASE=pll.post - 1,
            p_CLKOP_FPHASE=0,
            p_FEEDBK_PATH="CLKOP",
            i_CLKI=oscillator(m, platform),
            i_CLKFB=clock,
            i_RST=Const(0),
            i_STDBY=Const(0),
            i_PHASESEL0=Const(0),
            i_PHASESEL1=Const(0),
            i_PHASEDIR=Const(1),
            i_PHASESTEP=Const(1),
            i_PHASELOADREG=Const(1),
            i_PLLWAKESYNC=Const(0),
            i_ENCLKOP=Const(0),
            o_CLKOP=clock,
            o_LOCK=locked,
        )

    def spread_reset(self, m: Module, reset: Value, spread: Value) -> None:
        # A global clock net: on ordinary routing the reset took 18 ns across a chip with 64 lanes.
        m.submodules.spread_reset = Instance("DCCA", i_CLKI=reset, i_CE=Const(1), o_CLKO=spread)

    def floorplan(self, netlist: Path, device: Resources) -> None:
        # Without a floorplan, the placer puts some multipliers and block RAMs of a group at the far end of the device.
        die = DIES[device]
        floorplan(netlist, die.kinds, die.width, die.group_rows)

    def fix_block_rams(self, netlist: Path, device: Resources, seed: int) -> None:
        # Left to the placer, the block RAMs of one memory lie up to a hundred columns apart.
        _, block_rams = DIES[device].kinds
        fix_block_rams(netlist, block_rams, seed)

    def route(self, step: Step, pll: Pll, seed: int, crowded: bool) -> Step:
        step = super().route(step, pll, seed, crowded)
        # On a crowded device the default router takes many times as long, and the default placer makes the wires a
        # third to two thirds longer, too long to be routed; on others the default placer reaches a higher clock.
        placer = ("--placer", "static") if crowded else ()
        return Step(step.stage, step.tool, (*step.arguments, "--write", ROUTED, "--router", "router2", *placer))

    def counted(self, cells: dict[str, int]) -> Resources:
        # A carry cell takes two sites and a RAM six (four for data, two blocked by its write port); nextpnr adds about
        # 5 % for entering and leaving carry chains (measured: 15,478 for 14,598 and 39,429 for 37,431).
        places = cells["LUT4"] + 2 * cells["CCU2C"] + 6 * cells.get("TRELLIS_DPR16X4", 0)
        return Resources(
            luts=round(1.055 * places),
            flip_flops=cells["TRELLIS_FF"],
            block_rams=cells["DP16KD"],
            multipliers=cells["MULT18X18D"],
        )

    def used(self, report: dict[str, Any], cells: dict[str, int]) -> Resources:
        use = {name: entry["used"] for name, entry in report["utilization"].items()}
        return Resources(
            luts=use["TRELLIS_COMB"],
            flip_flops=use["TRELLIS_FF"],
            block_rams=use["DP16KD"],
            multipliers=use["MULT18X18D"],
        )
