"""Netlists of yosys and nextpnr (JSON) as Verilog: instances of the models of ``cells``, and expressions for tables."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from opzo.sim.gates.cell import Cell, net
from opzo.sim.gates.family import CellFamily, PllSettings, UnmodelledError
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
    family : CellFamily
        Family of its cells.
    """

    def __init__(self, module: dict[str, Any], source: str, family: CellFamily) -> None:
        check_module(module)
        cells: dict[str, dict[str, Any]] = module["cells"]
        self._source, self._family = source, family
        constants = self._constants(cells.values())
        self._cells = {
            name: cell | {"connections": _replaced(cell["connections"], constants)}
            for name, cell in cells.items()
            if cell["type"] not in (*IGNORED, *family.constants)
        }
        self._ports: dict[str, dict[str, Any]] = {
            name: port | _replaced({"bits": port["bits"]}, constants) for name, port in module["ports"].items()
        }

    @property
    def ports(self) -> dict[str, bool]:
        """Names of the ports, and whether each is an input."""
        return {name: port["direction"] == "input" for name, port in self._ports.items()}

    def sites(self) -> dict[str, str]:
        """Port at each pin of the package, as placed."""
        pads = dict(filter(None, map(self._family.site, self._cells.values())))
        return {pads[port["bits"][0]]: name for name, port in self._ports.items() if port["bits"][0] in pads}

    def pll(self) -> PllSettings:
        """Settings of the PLL; OpzoError unless there is one PLL, set up as its model expects."""
        cells = [cell for cell in self._cells.values() if cell["type"] == self._family.pll]
        if len(cells) != 1:
            raise OpzoError(f"{self._source} has {len(cells)} PLLs; a chip of opzo has one: build it again")
        try:
            return self._family.settings(Cell(cells[0]))
        except UnmodelledError as error:
            raise OpzoError(f"{self._source}{error}") from None

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

    def _constants(self, cells: Iterable[dict[str, Any]]) -> dict[Any, str]:
        """Value of each net that a cell drives with a constant."""
        known = self._family.constants
        return {
            bit: known[cell["type"]][1]
            for cell in cells
            if cell["type"] in known
            for bit in cell["connections"].get(known[cell["type"]][0], [])
        }

    def _bits(self) -> set[int]:
        lists = [port["bits"] for port in self._ports.values()]
        lists += [bits for cell in self._cells.values() for bits in cell["connections"].values()]
        return {bit for bits in lists for bit in bits if isinstance(bit, int)}

    def _modelled(self, label: str, name: str, entry: dict[str, Any]) -> Iterator[str]:
        """Statements that model a cell."""
        cell, kind = Cell(entry), self._family.kind(entry)
        found = models(self._family.name)
        try:
            if (statements := self._family.statements(label, kind, cell)) is not None:
                yield from statements
            elif kind in found:
                yield from cell.instance(label, found[kind])
            else:
                raise OpzoError(
                    f"{self._source}: no model for cell {printable(kind)} ('{printable(name)}'); write one in "
                    "sim/gates/cells, with its bench"
                )
            self._family.check(cell)
        except UnmodelledError as error:
            raise OpzoError(f"{self._source}: {printable(kind)} '{printable(name)}'{error}") from None
        if pin := cell.unmodelled():
            raise OpzoError(
                f"{self._source}: the model of {kind} has no pin {printable(pin)}, which '{printable(name)}' uses; "
                "extend it in sim/gates"
            )


def _replaced(bits: Mapping[str, list[Any]], values: Mapping[Any, str]) -> dict[str, list[Any]]:
    """Lists of bits, those with a value replaced by it."""
    return {name: [values.get(bit, bit) for bit in line] for name, line in bits.items()}
