"""AMD/Xilinx and Intel: projects for the vendor's own tool, which builds the bitstream."""

from typing import Any

from amaranth import Const, Instance, Module, Signal

from opzo.boards.families.flow import Flow, oscillator
from opzo.boards.families.pll import Pll, PllRange


class Xilinx(Flow):
    """Vivado, 7 series."""

    tools = ("Vivado",)
    # Limits of the slowest speed grade.
    pll = PllRange(
        references=range(1, 57),
        feedbacks=range(2, 65),
        posts=range(1, 129),
        comparator=(19, 450),
        vco=(800, 1600),
        output=(6.25, 450),
        from_output=False,
    )

    def add_pll(self, m: Module, platform: Any, pll: Pll, clock: Signal, locked: Signal) -> None:
        feedback = Signal()
        output = Signal()
        m.submodules.pll = Instance(
            "PLLE2_BASE",
            p_CLKIN1_PERIOD=1000 / pll.input_mhz,
            p_DIVCLK_DIVIDE=pll.reference,
            p_CLKFBOUT_MULT=pll.feedback,
            p_CLKOUT0_DIVIDE=pll.post,
            i_CLKIN1=oscillator(m, platform),
            i_CLKFBIN=feedback,
            i_PWRDWN=Const(0),
            i_RST=Const(0),
            o_CLKFBOUT=feedback,
            o_CLKOUT0=output,
            o_LOCKED=locked,
        )
        m.submodules.clock_buffer = Instance("BUFG", i_I=output, o_O=clock)


class Intel(Flow):
    """Quartus, Cyclone V."""

    tools = ("Quartus",)
    # Quartus chooses the dividers itself; this range only limits the frequency to a possible one.
    pll = PllRange(
        references=range(1, 11),
        feedbacks=range(6, 33),
        posts=range(1, 65),
        comparator=(5, 325),
        vco=(600, 1300),
        output=(10, 460),
        from_output=False,
    )

    def add_pll(self, m: Module, platform: Any, pll: Pll, clock: Signal, locked: Signal) -> None:
        m.submodules.pll = Instance(
            "altera_pll",
            p_fractional_vco_multiplier="false",
            p_reference_clock_frequency=_mhz(pll.input_mhz),
            p_operation_mode="direct",
            p_number_of_clocks=1,
            p_output_clock_frequency0=_mhz(pll.mhz),
            p_phase_shift0="0 ps",
            p_duty_cycle0=50,
            i_refclk=oscillator(m, platform),
            i_rst=Const(0),
            o_outclk=clock,
            o_locked=locked,
        )

    @property
    def prepare_options(self) -> dict[str, str]:
        return {"add_constraints": "derive_pll_clocks"}


def _mhz(frequency: float) -> str:
    return f"{frequency:.6f} MHz"
