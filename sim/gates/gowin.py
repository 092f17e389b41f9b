"""Cells of Gowin's LittleBee and Arora that are no module of their own in Verilog: look-up tables, the PLL."""

import re
from collections.abc import Iterator, Mapping
from typing import ClassVar

from opzo.sim.gates.cell import Cell
from opzo.sim.gates.family import CellFamily, PllSettings, UnmodelledError, divider, unlike
from opzo.sim.gates.tables import LOW
from opzo.spec.messages import printable

DIVIDER_MAX = 64
POSTS = (2, 4, 8, 16, 32, 48, 64, 80, 96, 112, 128)
"""Dividers between the VCO and the output."""
VCO = {"GW2A-18": (500, 1250), "GW1NR-9C": (400, 1200)}
"""Frequencies of the VCO in MHz, by device."""
ALU_MODES = (0, 1, 2)
"""Modes of a carry cell that are modelled: add, subtract, either."""
_FIXED = {
    **dict.fromkeys(("DYN_IDIV_SEL", "DYN_FBDIV_SEL", "DYN_ODIV_SEL", "DYN_DA_EN", "CLKOUT_BYPASS"), "false"),
    "CLKFB_SEL": "internal",
}
_IGNORED = ("FCLKIN", "DYN_SDIV_SEL", "PSDA_SEL", "DUTYDA_SEL", "CLKOUTP_BYPASS", "CLKOUTD_BYPASS")
"""Parameters of the outputs that no chip uses, and of the bitstream."""
_BUSES = {"FBDSEL": 6, "IDSEL": 6, "ODSEL": 6, "PSDA": 4, "DUTYDA": 4, "FDLY": 4}


class GowinCells(CellFamily):
    """Cells of yosys' ``synth_gowin``, with the semantics of SUG283 (Gowin Primitives User Guide)."""

    name = "gowin"
    pll = "rPLL"
    constraints = "opzo.cst"
    routed = (
        "nextpnr writes carry cells as tables that Gowin's documents do not define, and no pins of the package "
        "(docs/boards.md)"
    )
    constants: ClassVar[Mapping[str, tuple[str, str]]] = {"GND": ("G", "0"), "VCC": ("V", "1")}
    located = re.compile(r'^\s*IO_LOC\s+"([^"]+)"\s+(\w+)\s*;', re.MULTILINE)

    def statements(self, label: str, kind: str, cell: Cell) -> Iterator[str] | None:
        if kind in ("LUT1", "LUT2", "LUT3", "LUT4"):
            return cell.drive("F", cell.table("INIT", [f"I{n}" for n in range(int(kind[-1]))]))
        if kind == self.pll:
            return _pll(cell)
        if kind == "ALU" and (mode := cell.text("ALU_MODE", "0")) not in {f"{n:032b}" for n in ALU_MODES}:
            raise UnmodelledError(f" has ALU_MODE {printable(mode)}; extend sim/gates/cells/gowin/ALU.v")
        return None

    def check(self, cell: Cell) -> None:
        # Neither yosys nor Amaranth leaves an input open; Gowin's documents do not say what it is then.
        if name := cell.unread() or cell.undriven():
            raise UnmodelledError(f": its model knows no {printable(name)} like this one; extend it in sim/gates")

    def settings(self, cell: Cell) -> PllSettings:
        """As UG286 (Gowin Clock User Guide), "rPLL", names parameters, and DS102 (GW2A), DS117 (GW1NR), "PLL Switching
        Characteristic", limit frequencies."""
        wrong = [name for name, value in _FIXED.items() if cell.text(name, value) != value]
        for name in _IGNORED:
            cell.text(name, "")
        # The feedback is inside; the selections by pins are switched off.
        for name in ("CLKIN", "CLKFB", "CLKOUT", "LOCK"):
            cell.input(name)
        wrong += [name for name in ("RESET", "RESET_P") if cell.input(name) != LOW]
        for name, width in _BUSES.items():
            cell.bus(name, width)
        device = cell.text("DEVICE", "")
        if device not in VCO:
            wrong.append(f"DEVICE {device}")
        reference, feedback = (divider(cell.text(name, "0"), DIVIDER_MAX, 1) for name in ("IDIV_SEL", "FBDIV_SEL"))
        post = divider(cell.text("ODIV_SEL", f"{8:b}"), max(POSTS))
        if post not in POSTS:
            wrong.append(f"ODIV_SEL {post}")
        if wrong or cell.unmodelled() or cell.unread():
            raise unlike(self.pll, ", ".join(wrong) or cell.unmodelled() or cell.unread())
        return PllSettings(reference, feedback, post, comparator=(3, 400), vco=VCO[device])


def _pll(cell: Cell) -> Iterator[str]:
    yield f"assign pll_clki = {cell.input('CLKIN')};"
    yield "assign pll_clkfb = pll_clkop;"
    yield from cell.drive("CLKOUT", "pll_clkop")
    yield from cell.drive("LOCK", "pll_lock")
    # `settings` checks the rest.
    cell.ignore()
