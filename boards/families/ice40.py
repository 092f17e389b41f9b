"""Lattice iCE40 UltraPlus: PLL and tools."""

from typing import Any

from amaranth import Const, Instance, Module, Signal

from opzo.boards.board import Resources
from opzo.boards.families.flow import OpenFlow
from opzo.boards.families.pll import Pll, PllRange

# Highest phase comparator frequency in MHz for each setting of the loop filter.
_FILTERS = ((17, 1), (26, 2), (44, 3), (66, 4), (101, 5), (133, 6))


class ICE40(OpenFlow):
    """Project IceStorm: yosys, nextpnr-ice40, icepack."""

    tools = ("yosys", "nextpnr-ice40", "icepack")
    pll = PllRange(
        references=range(1, 17),
        feedbacks=range(1, 129),
        posts=(2, 4, 8, 16, 32, 64),
        comparator=(10, 133),
        vco=(533, 1066),
        output=(16, 275),
        from_output=False,
    )
    synthesis_options = "-device u -dsp"

    def add_pll(self, m: Module, platform: Any, pll: Pll, clock: Signal, locked: Signal) -> None:
        # The oscillator's pin is connected directly to the PLL.
        port = platform.request(platform.default_clk, dir="-")
        comparator = pll.input_mhz / pll.reference
        m.submodules.pll = Instance(
            "SB_PLL40_PAD",
            p_FEEDBACK_PATH="SIMPLE",
            p_DIVR=Const(pll.reference - 1, 4),
            p_DIVF=Const(pll.feedback - 1, 7),
            p_DIVQ=Const(pll.post.bit_length() - 1, 3),
            p_FILTER_RANGE=Const(next(setting for top, setting in _FILTERS if comparator <= top), 3),
            i_PACKAGEPIN=port.io,
            i_RESETB=Const(1),
            i_BYPASS=Const(0),
            o_PLLOUTGLOBAL=clock,
            o_LOCK=locked,
        )

    def counted(self, cells: dict[str, int]) -> Resources:
        flip_flops = sum(count for name, count in cells.items() if name.startswith("SB_DFF"))
        # Carries, and most flip-flops, share a logic cell with a look-up table.
        return Resources(
            luts=max(cells["SB_LUT4"], flip_flops),
            flip_flops=flip_flops,
            block_rams=cells["SB_RAM40_4K"],
            sprams=cells.get("SB_SPRAM256KA", 0),
            multipliers=cells["SB_MAC16"],
        )

    def used(self, report: dict[str, Any], cells: dict[str, int]) -> Resources:
        use = {name: entry["used"] for name, entry in report["utilization"].items()}
        return Resources(
            luts=use["ICESTORM_LC"],
            flip_flops=self.counted(cells).flip_flops,
            block_rams=use["ICESTORM_RAM"],
            sprams=use["ICESTORM_SPRAM"],
            multipliers=use["ICESTORM_DSP"],
        )
