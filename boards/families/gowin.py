"""Gowin LittleBee and Arora: PLL and tools."""

from collections.abc import Mapping
from typing import Any, ClassVar

from amaranth import Const, Instance, Module, Signal

from opzo.boards.board import Resources
from opzo.boards.families.flow import DESIGN, NETLIST, OpenFlow, Step, oscillator
from opzo.boards.families.pll import Pll, PllRange

_KINDS = ("$_DFF_?_ 0", "$_DFFE_?P_ 0", "$_SDFF_?P?_ r", "$_SDFFE_?P?P_ r", "$_DFF_?P?_ r", "$_DFFE_?P?P_ r")
_FEW_ENABLES = f"""
# Pairs of flip-flops in a tile share enables and resets: those with few users are mapped to look-up tables, otherwise
# nextpnr runs out of sites.
opt_clean
dfflegalize {" ".join(f"-cell {kind}" for kind in _KINDS)} -mince 8 -minsrst 8"""


class Gowin(OpenFlow):
    """Project Apicula: yosys, nextpnr-himbaechel, gowin_pack.

    Parameters
    ----------
    family : str
        Family for synthesis: ``gw1n`` or ``gw2a``.
    vco : tuple
        Lowest and highest frequency of the VCO in MHz.
    """

    tools = ("yosys", "nextpnr-himbaechel-gowin", "gowin_pack")
    netlists: ClassVar[Mapping[str, str]] = {f"{DESIGN}.syn.json": NETLIST}

    def __init__(self, family: str, vco: tuple[float, float]) -> None:
        # A distributed RAM of 16 x 4 bits takes a complete tile of 8 look-up tables, and most block RAMs are unused.
        self._options = f"-family {family} -nolutram"
        self.synthesis_options = f"{self._options} -run map_ffs:"
        self.pll = PllRange(
            references=range(1, 65),
            feedbacks=range(1, 65),
            posts=(2, 4, 8, 16, 32, 48, 64, 80, 96, 112, 128),
            comparator=(3, 400),
            vco=vco,
            output=(3.125, 600),
            from_output=True,
        )

    @property
    def prepare_options(self) -> dict[str, str]:
        """Synthesis in two parts, with _FEW_ENABLES between them."""
        options = super().prepare_options
        first = f"synth_gowin {self._options} -top {DESIGN} -run :map_ffs\n{_FEW_ENABLES}"
        return options | {"script_after_read": f"{options['script_after_read']}\n{first}"}

    def add_pll(self, m: Module, platform: Any, pll: Pll, clock: Signal, locked: Signal) -> None:
        off = "false"
        m.submodules.pll = Instance(
            "rPLL",
            p_FCLKIN=f"{pll.input_mhz:g}",
            p_DEVICE=platform.family,
            p_IDIV_SEL=pll.reference - 1,
            p_FBDIV_SEL=pll.feedback - 1,
            p_ODIV_SEL=pll.post,
            p_DYN_IDIV_SEL=off,
            p_DYN_FBDIV_SEL=off,
            p_DYN_ODIV_SEL=off,
            p_DYN_DA_EN=off,
            p_DYN_SDIV_SEL=2,
            p_PSDA_SEL="0000",
            p_DUTYDA_SEL="1000",
            p_CLKFB_SEL="internal",
            p_CLKOUT_BYPASS=off,
            p_CLKOUTP_BYPASS=off,
            p_CLKOUTD_BYPASS=off,
            i_CLKIN=oscillator(m, platform),
            i_CLKFB=Const(0),
            i_RESET=Const(0),
            i_RESET_P=Const(0),
            i_FBDSEL=Const(0, 6),
            i_IDSEL=Const(0, 6),
            i_ODSEL=Const(0, 6),
            i_PSDA=Const(0, 4),
            i_DUTYDA=Const(0, 4),
            i_FDLY=Const(0, 4),
            o_CLKOUT=clock,
            o_LOCK=locked,
        )

    def route(self, step: Step, pll: Pll, seed: int, crowded: bool) -> Step:
        """Translate the arguments: the platform's templates call nextpnr-gowin, now replaced by nextpnr-himbaechel."""
        given = dict(zip(step.arguments, step.arguments[1:], strict=False))
        arguments = (
            *("--log", given["--log"], "--device", given["--device"]),
            *("--vopt", f"family={given['--family']}", "--vopt", f"cst={given['--cst']}"),
            *("--json", given["--json"], "--write", given["--write"]),
            # With this limit nextpnr reports within a minute that a cell has no site; by default it tries for hours.
            *("--placer-heap-cell-placement-timeout", "100000"),
        )
        return super().route(Step(step.stage, "nextpnr-himbaechel-gowin", arguments), pll, seed, crowded)

    def counted(self, cells: dict[str, int]) -> Resources:
        def of(*names: str) -> int:
            return sum(count for name, count in cells.items() if name.startswith(names))

        # nextpnr uses more: a flip-flop whose input is not the output of the adjacent look-up table occupies one
        # (measured: 17,183 for 10,979).
        return Resources(
            luts=round(1.6 * of("LUT", "ALU")),
            flip_flops=of("DFF"),
            block_rams=of("SDP", "DPX", "DPB", "SPX", "pROM"),
            multipliers=of("MULT18X18"),
        )

    def used(self, report: dict[str, Any], cells: dict[str, int]) -> Resources:
        use = {name: entry["used"] for name, entry in report["utilization"].items()}
        return Resources(
            luts=use["LUT4"] + use["ALU"],
            flip_flops=use["DFF"],
            block_rams=use["BSRAM"],
            multipliers=use.get("MULT18X18", 0),
        )
