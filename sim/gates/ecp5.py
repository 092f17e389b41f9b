"""Cells of the Lattice ECP5 that are no module of their own in Verilog: look-up tables, carry chains, the PLL."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from opzo.sim.gates.cell import Cell
from opzo.sim.gates.family import CellFamily, PllSettings, divider, unlike

LETTERS = "ABCD"
"""Inputs of a look-up table."""
DIVIDER_MAX = 128
_FIXED = {"FEEDBK_PATH": "CLKOP", "CLKOP_ENABLE": "ENABLED", "PLLRST_ENA": "DISABLED", "STDBY_ENABLE": "DISABLED"}
_PINS = (
    *("CLKI", "CLKFB", "CLKOP", "LOCK", "RST", "STDBY", "ENCLKOP", "PLLWAKESYNC"),
    *("PHASESEL0", "PHASESEL1", "PHASEDIR", "PHASESTEP", "PHASELOADREG"),
)


class ECP5Cells(CellFamily):
    """Cells of yosys' ``synth_ecp5`` and of nextpnr-ecp5."""

    name = "ecp5"
    pll = "EHXPLLL"
    constraints = "opzo.lpf"
    located = re.compile(r'^\s*LOCATE\s+COMP\s+"([^"]+)"\s+SITE\s+"([^"]+)"', re.MULTILINE)

    def kind(self, entry: Mapping[str, Any]) -> str:
        cell, kind = Cell(entry), super().kind(entry)
        if kind == "TRELLIS_COMB":
            return f"{kind}_{cell.text('MODE', 'LOGIC')}"
        return f"{kind}_{cell.text('DIR', 'INPUT')}" if kind == "TRELLIS_IO" else kind

    def site(self, entry: Mapping[str, Any]) -> tuple[int, str] | None:
        if entry["type"] != "TRELLIS_IO":
            return None
        bit = next(iter(entry["connections"].get("B", [])), None)
        return (bit, str(entry.get("attributes", {}).get("LOC", ""))) if isinstance(bit, int) else None

    def statements(self, label: str, kind: str, cell: Cell) -> Iterator[str] | None:
        match kind:
            case "LUT4":
                return cell.drive("Z", cell.table("INIT", LETTERS))
            case "TRELLIS_COMB_LOGIC":
                return _comb(label, cell)
            case "TRELLIS_COMB_CCU2":
                ends = cell.input("FCI"), cell.output("F"), cell.output("FCO")
                return iter([_carry(cell, label, "INITVAL", "", "CCU2_INJECT1", ends)])
            case "TRELLIS_COMB_RAMW_BLOCK":
                # Both halves of the slice of a TRELLIS_RAMW.
                cell.ignore()
                return iter(())
            case "CCU2C":
                return _two_carries(label, cell)
            case self.pll:
                return _pll(cell)
            case _:
                return None

    def settings(self, cell: Cell) -> PllSettings:
        """As FPGA-DS-02012 (ECP5 and ECP5-5G Family Data Sheet), "sysCLOCK PLL Timing", limits frequencies."""
        wrong = [name for name, value in _FIXED.items() if cell.text(name, value) != value]
        for pin in _PINS:
            cell.input(pin)
        if wrong or cell.unmodelled():
            raise unlike(self.pll, ", ".join(wrong) or cell.unmodelled())
        reference, feedback, post = (
            divider(cell.text(name, "1"), DIVIDER_MAX) for name in ("CLKI_DIV", "CLKFB_DIV", "CLKOP_DIV")
        )
        return PllSettings(reference, feedback, post, comparator=(3.125, 400), vco=(400, 800))


def _comb(label: str, cell: Cell) -> Iterator[str]:
    """Look-up table with the multiplexer behind it, which joins it with its neighbours: F1 and F (as PFUMX) in the even
    halves of a slice, FXA and FXB (as L6MUX21) in the odd ones."""
    table = cell.table("INITVAL", LETTERS)
    yield from cell.drive("F", table)
    if out := cell.output("OFX"):
        odd = cell.output("FXA") or cell.output("FXB")
        low, high = (cell.input("FXA"), cell.input("FXB")) if odd else (table, cell.input("F1"))
        yield f"PFUMX {label} (.BLUT({low}), .ALUT({high}), .C0({cell.input('M')}), .Z({out}));"


def _two_carries(label: str, cell: Cell) -> Iterator[str]:
    between = f"{label}_carry"
    yield f"wire {between};"
    ends = cell.input("CIN"), cell.output("S0"), between
    yield _carry(cell, f"{label}_0", "INIT0", "0", "INJECT1_0", ends)
    ends = between, cell.output("S1"), cell.output("COUT")
    yield _carry(cell, f"{label}_1", "INIT1", "1", "INJECT1_1", ends)


def _carry(cell: Cell, label: str, table: str, suffix: str, inject: str, ends: tuple[str, str, str]) -> str:
    """A bit of a carry chain; ``ends`` are the nets of carry in, sum and carry out."""
    carry, total, out = ends
    names = [f"{letter}{suffix}" for letter in LETTERS]
    # The lowest four entries are the table without C and D.
    pins = (("SUM", cell.table(table, names)), ("START", cell.table(table, names[:2])))
    connected = ", ".join(f".{port}({at})" for port, at in (*pins, ("IN", carry), ("S", total), ("OUT", out)))
    return f'CARRY #(.INJECT1("{cell.text(inject, "NO")}")) {label} ({connected});'


def _pll(cell: Cell) -> Iterator[str]:
    yield f"assign pll_clki = {cell.input('CLKI')};"
    yield f"assign pll_clkfb = {cell.input('CLKFB')};"
    yield from cell.drive("CLKOP", "pll_clkop")
    yield from cell.drive("LOCK", "pll_lock")
    # `settings` checks the rest.
    cell.ignore()
