"""Netlists of yosys and nextpnr (JSON) as Verilog: instances of the models of ``cells``, and expressions for tables."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from opzo.sim.gates.cell import Cell, net
from opzo.sim.gates.models import models
from opzo.sim.gates.schema import check_module
from opzo.sim.gates.tables import HIGH
from opzo.spec.errors import OpzoError
from opzo.spec.messages import printable

LIGHTS = ("link", "training", "error")
INPUTS = ("oscillator", "button", "rx", "pll_clkop", "pll_lock")
OUTPUTS = ("tx", *LIGHTS, "pll_clki", "pll_clkfb")
"""Pins of a board's FPGA, and those of its PLL, whose model is in the harness."""
IGNORED = ("$scopeinfo",)
"""Types of cells without hardware."""
PLL = "EHXPLLL"
_DIVIDERS = ("CLKI_DIV", "CLKFB_DIV", "CLKOP_DIV")
_DIVIDER = re.compile("[01]{1,64}")
DIVIDER_MAX = 128
"""Largest divider of a PLL."""
_PLL_FIXED = {"FEEDBK_PATH": "CLKOP", "CLKOP_ENABLE": "ENABLED", "PLLRST_ENA": "DISABLED", "STDBY_ENABLE": "DISABLED"}
_PLL_PINS = (
    *("CLKI", "CLKFB", "CLKOP", "LOCK", "RST", "STDBY", "ENCLKOP", "PLLWAKESYNC"),
    *("PHASESEL0", "PHASESEL1", "PHASEDIR", "PHASESTEP", "PHASELOADREG"),
)


class Netlist:
    """Netlist of one module, from JSON as yosys and nextpnr write it.

    Raises ValueError for JSON that is not that of a module. Its texts become part of Verilog, whose compiler runs
    programs that are written in it: so no other text than those of the tools is accepted.

    Parameters
    ----------
    module : dict
        The module's entry of the JSON.
    source : str
        Name of the netlist, for messages.
    """

    def __init__(self, module: dict[str, Any], source: str) -> None:
        check_module(module)
        cells: dict[str, dict[str, Any]] = module["cells"]
        self._cells = {name: cell for name, cell in cells.items() if cell["type"] not in IGNORED}
        self._ports: dict[str, dict[str, Any]] = module["ports"]
        self._source = source

    @property
    def ports(self) -> dict[str, bool]:
        """Names of the ports, and whether each is an input."""
        return {name: port["direction"] == "input" for name, port in self._ports.items()}

    def sites(self) -> dict[str, str]:
        """Port at each pin of the package, as placed."""
        pads = {
            bit: str(cell.get("attributes", {}).get("LOC", ""))
            for cell in self._cells.values()
            if cell["type"] == "TRELLIS_IO"
            for bit in cell["connections"].get("B", [])[:1]
        }
        return {pads[port["bits"][0]]: name for name, port in self._ports.items() if port["bits"][0] in pads}

    def dividers(self) -> dict[str, int]:
        """Dividers of the PLL; OpzoError unless there is one PLL, set up as its model expects."""
        cells = [cell for cell in self._cells.values() if cell["type"] == PLL]
        if len(cells) != 1:
            raise OpzoError(f"{self._source} has {len(cells)} PLLs; a chip of opzo has one: build it again")
        (entry,) = cells
        cell = Cell(entry)
        other = [name for name, value in _PLL_FIXED.items() if cell.text(name, value) != value]
        for pin in _PLL_PINS:
            cell.input(pin)
        if other or cell.unmodelled():
            what = ", ".join(other) or printable(cell.unmodelled())
            raise OpzoError(f"{self._source}: the model of {PLL} knows no {what} like this one; extend sim/gates/pll.h")
        dividers = {name: cell.text(name, "1") for name in _DIVIDERS}
        wrong = [
            text for text in dividers.values() if not _DIVIDER.fullmatch(text) or not 0 < int(text, 2) <= DIVIDER_MAX
        ]
        if wrong:
            raise OpzoError(
                f"{self._source} has a PLL that divides by '{printable(wrong[0])}', not by 1..{DIVIDER_MAX} in binary; "
                "build it again"
            )
        return {name: int(text, 2) for name, text in dividers.items()}

    def verilog(self, ports: Mapping[str, str]) -> str:
        """Module ``top`` with the pins INPUTS and OUTPUTS.

        ``ports`` has the pin at each port of the netlist; other inputs float. OpzoError for a cell or a pin that no
        model has, with what to do.
        """
        body = []
        for port, entry in self._ports.items():
            (bit,) = entry["bits"]
            if entry["direction"] == "input":
                body.append(f"assign {net(bit)} = {ports.get(port, HIGH)};")
            elif port in ports:
                body.append(f"assign {ports[port]} = {net(bit)};")
        heads = [f"input {pin}" for pin in INPUTS] + [f"output {pin}" for pin in OUTPUTS]
        # Not a module within another one: Verilator takes minutes to inline it.
        return "\n".join((f"module top({', '.join(heads)});", *self.statements(), *body, "endmodule\n"))

    def statements(self) -> Iterator[str]:
        """Nets, ``n`` and the number of the JSON, and cells."""
        yield from (f"wire {net(bit)};" for bit in sorted(self._bits()))
        for number, (name, entry) in enumerate(self._cells.items()):
            yield from self._modelled(f"c{number}", name, entry)

    def _bits(self) -> set[int]:
        lists = [port["bits"] for port in self._ports.values()]
        lists += [bits for cell in self._cells.values() for bits in cell["connections"].values()]
        return {bit for bits in lists for bit in bits if isinstance(bit, int)}

    def _modelled(self, label: str, name: str, entry: dict[str, Any]) -> Iterator[str]:
        """Statements that model a cell."""
        cell = Cell(entry)
        kind: str = entry["type"]
        if kind == "TRELLIS_COMB":
            kind += f"_{cell.text('MODE', 'LOGIC')}"
        elif kind == "TRELLIS_IO":
            kind += f"_{cell.text('DIR', 'INPUT')}"
        match kind:
            case "LUT4":
                yield from cell.drive("Z", cell.table("INIT"))
            case "TRELLIS_COMB_LOGIC":
                yield from _comb(label, cell)
            case "TRELLIS_COMB_CCU2":
                ends = cell.input("FCI"), cell.output("F"), cell.output("FCO")
                yield cell.carry(label, "INITVAL", "", "CCU2_INJECT1", ends)
            case "TRELLIS_COMB_RAMW_BLOCK":
                # Both halves of the slice of a TRELLIS_RAMW.
                return
            case "CCU2C":
                between = f"{label}_carry"
                yield f"wire {between};"
                ends = cell.input("CIN"), cell.output("S0"), between
                yield cell.carry(f"{label}_0", "INIT0", "0", "INJECT1_0", ends)
                ends = between, cell.output("S1"), cell.output("COUT")
                yield cell.carry(f"{label}_1", "INIT1", "1", "INJECT1_1", ends)
            case "EHXPLLL":
                yield f"assign pll_clki = {cell.input('CLKI')};"
                yield f"assign pll_clkfb = {cell.input('CLKFB')};"
                yield from cell.drive("CLKOP", "pll_clkop")
                yield from cell.drive("LOCK", "pll_lock")
                # `dividers` checks the rest.
                return
            case _ if kind in models():
                yield from cell.instance(label, models()[kind])
            case _:
                raise OpzoError(
                    f"{self._source}: no model for cell {printable(kind)} ('{printable(name)}'); write one in "
                    "sim/gates/cells, with its bench"
                )
        if pin := cell.unmodelled():
            raise OpzoError(
                f"{self._source}: the model of {kind} has no pin {printable(pin)}, which '{printable(name)}' uses; "
                "extend it in sim/gates"
            )


def _comb(label: str, cell: Cell) -> Iterator[str]:
    """Look-up table with the multiplexer behind it, which joins it with its neighbours: F1 and F (as PFUMX) in the even
    halves of a slice, FXA and FXB (as L6MUX21) in the odd ones."""
    table = cell.table("INITVAL")
    yield from cell.drive("F", table)
    if out := cell.output("OFX"):
        odd = cell.output("FXA") or cell.output("FXB")
        low, high = (cell.input("FXA"), cell.input("FXB")) if odd else (table, cell.input("F1"))
        yield f"PFUMX {label} (.BLUT({low}), .ALUT({high}), .C0({cell.input('M')}), .Z({out}));"
