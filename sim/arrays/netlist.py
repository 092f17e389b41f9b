"""A flat module as Yosys writes it in JSON: cells, memories, and who drives which bit."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

Bit = int | str
"""Number of a bit in the module, or the constant ``0``, ``1`` or ``x``."""
Bits = tuple[Bit, ...]
"""Lowest first."""

MEMORY_INIT, MEMORY_READ, MEMORY_WRITE = "$meminit_v2", "$memrd_v2", "$memwr_v2"
REGISTER = "$dff"
_OUTPUTS = ("Y", "Q", "DATA")


@dataclass(frozen=True)
class Cell:
    """A cell: type, parameters that are numbers, connections."""

    kind: str
    parameters: Mapping[str, int]
    memory: str
    connections: Mapping[str, Bits]

    @property
    def output(self) -> Bits:
        """What it drives; nothing where it only writes to a memory."""
        if self.kind in (MEMORY_INIT, MEMORY_WRITE):
            return ()
        return next(self.connections[port] for port in _OUTPUTS if port in self.connections)

    @property
    def inputs(self) -> Iterator[Bits]:
        """What it looks at; not the clock, nor what a read port does not have."""
        output, clocked = self.output, self.parameters.get("CLK_ENABLE", 0)
        for port, bits in self.connections.items():
            unused = self.kind == MEMORY_READ and (port in ("ARST", "SRST") or (port == "EN" and not clocked))
            if bits is not output and port != "CLK" and not unused:
                yield bits


@dataclass(frozen=True)
class Signal:
    """Bits that one cell or input port drives."""

    name: str
    width: int


@dataclass(frozen=True)
class Memory:
    """``words`` words of ``width`` bits, 0 at first."""

    name: str
    width: int
    words: int


@dataclass
class Netlist:
    """A module.

    Parameters
    ----------
    inputs : dict of str to Signal
        By port; without the clock.
    outputs : dict of str to Bits
    driven : list of (Signal, Cell)
        What cells drive: logic, registers, read ports of memories.
    where : dict of int to (Signal, int)
        Who drives a bit, and which of its bits that is.
    initial : dict of int to str
        Value of a register's bit at first, ``0`` where none is given.
    memories : dict of str to Memory
    writes : list of Cell
        Write ports of the memories.
    """

    inputs: dict[str, Signal] = field(default_factory=dict)
    outputs: dict[str, Bits] = field(default_factory=dict)
    driven: list[tuple[Signal, Cell]] = field(default_factory=list)
    where: dict[int, tuple[Signal, int]] = field(default_factory=dict)
    initial: dict[int, str] = field(default_factory=dict)
    memories: dict[str, Memory] = field(default_factory=dict)
    writes: list[Cell] = field(default_factory=list)

    @classmethod
    def read(cls, module: Mapping[str, Any], clock: str) -> "Netlist":
        """From a module of Yosys' JSON, all of whose cells have the clock ``clock``; ValueError where one has not."""
        netlist = cls()
        clock_bits = module["ports"][clock]["bits"]
        for port, described in module["ports"].items():
            if described["direction"] == "output":
                netlist.outputs[port] = tuple(described["bits"])
            elif port != clock:
                netlist.inputs[port] = netlist._signal(tuple(described["bits"]))
        for number, (name, size) in enumerate(module.get("memories", {}).items()):
            netlist.memories[name] = Memory(f"m{number}", size["width"], size["size"])
        for described in module["cells"].values():
            if described["type"] != "$scopeinfo":
                netlist._add(_cell(described), clock_bits)
        for net in module["netnames"].values():
            first = net["attributes"].get("init", "")
            netlist.initial |= {bit: value for bit, value in zip(net["bits"], reversed(first), strict=False)}
        return netlist

    def _add(self, cell: Cell, clock: list[Bit]) -> None:
        """Check a cell and put it where it belongs."""
        clocked = "CLK" in cell.connections and cell.parameters.get("CLK_ENABLE", 1)
        if clocked and (list(cell.connections["CLK"]) != clock or not cell.parameters["CLK_POLARITY"]):
            raise ValueError(f"a {cell.kind} has another clock")
        if cell.kind == MEMORY_INIT:
            if "1" in cell.connections["DATA"]:
                raise ValueError(f"memory {cell.memory} does not begin with zeros")
        elif cell.kind == MEMORY_WRITE:
            self.writes.append(cell)
        else:
            self.driven.append((self._signal(cell.output), cell))

    def _signal(self, bits: Bits) -> Signal:
        signal = Signal(f"n{len(self.inputs) + len(self.driven)}", len(bits))
        self.where |= {bit: (signal, place) for place, bit in enumerate(bits) if isinstance(bit, int)}
        return signal

    def sources(self, cell: Cell) -> Iterator[Signal]:
        """Signals that a cell looks at."""
        for bits in cell.inputs:
            for bit in bits:
                if isinstance(bit, int):
                    yield self.where[bit][0]


def _cell(described: Mapping[str, Any]) -> Cell:
    parameters = {
        name: int(value.replace("x", "0") or "0", 2)
        for name, value in described["parameters"].items()
        if isinstance(value, str) and not set(value) - set("01x")
    }
    return Cell(
        described["type"],
        parameters,
        described["parameters"].get("MEMID", "").removeprefix("\\"),
        {port: tuple(bits) for port, bits in described["connections"].items()},
    )
