"""A module from Yosys' JSON with its equal parts: cells, memories, and the driver of each bit."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

Bit = int | str
"""Number of a bit in the module, or the constant ``0``, ``1`` or ``x``."""
Bits = tuple[Bit, ...]
"""Lowest first."""

MEMORY_INIT, MEMORY_READ, MEMORY_WRITE = "$meminit_v2", "$memrd_v2", "$memwr_v2"
REGISTER = "$dff"
CHECK = "$check"
EACH = "$each"
"""Connections of an input port of the parts: entry ``N`` is that of part N."""
_NUMBER = re.compile(r"\$\d+")
_OUTPUTS = ("Y", "Q", "DATA")


@dataclass(frozen=True)
class Cell:
    """A cell: type, numeric parameters, connections; name of its memory, or text of an assertion."""

    kind: str
    parameters: Mapping[str, int]
    memory: str
    connections: Mapping[str, Bits]
    text: str = ""

    @property
    def output(self) -> Bits:
        """Driven bits; none for memory writes and assertions."""
        if self.kind in (MEMORY_INIT, MEMORY_WRITE, CHECK):
            return ()
        return next(self.connections[port] for port in _OUTPUTS if port in self.connections)

    @property
    def inputs(self) -> Iterator[Bits]:
        """Bits it reads, without the clock and unused inputs of read ports."""
        output, clocked = self.output, self.parameters.get("CLK_ENABLE", 0)
        for port, bits in self.connections.items():
            unused = self.kind == MEMORY_READ and (port in ("ARST", "SRST") or (port == "EN" and not clocked))
            if bits is not output and port not in ("CLK", "TRG") and not unused:
                yield bits


@dataclass(frozen=True)
class Signal:
    """Bits driven by one cell or input port, in each of ``parts`` parts."""

    name: str
    width: int
    parts: int = 1


@dataclass(frozen=True)
class Place:
    """Bit ``bit`` of a signal, and its part if it is read from outside the parts."""

    signal: Signal
    bit: int
    part: int | None = None


@dataclass(frozen=True)
class Memory:
    """A memory of ``words`` words of ``width`` bits, initially 0, in each of ``parts`` parts."""

    name: str
    width: int
    words: int
    parts: int = 1


@dataclass(frozen=True)
class _Scope:
    """Of what is read: how many parts there are of it, what its bits are counted from, how names of memories begin."""

    parts: int = 1
    base: int = 0
    prefix: str = ""

    def bits(self, bits: Iterable[Bit]) -> Bits:
        return tuple(bit + self.base if isinstance(bit, int) else bit for bit in bits)


@dataclass
class Netlist:
    """A flattened module with equal parts, whose contents are stored once.

    Parameters
    ----------
    inputs : dict of str to Signal
        By port; without the clock.
    outputs : dict of str to Bits
    driven : list of (Signal, Cell)
        What cells drive: logic, registers, read ports of memories.
    where : dict of Bit to Place
        Who drives a bit.
    initial : dict of Bit to str
        Value of a register's bit at first, ``0`` where none is given.
    memories : dict of str to Memory
    writes : list of Cell
        Write ports of the memories.
    checks : list of (Signal, Cell)
        Assertions; the signal, which nothing drives, tells how many there are of each.
    """

    inputs: dict[str, Signal] = field(default_factory=dict)
    outputs: dict[str, Bits] = field(default_factory=dict)
    driven: list[tuple[Signal, Cell]] = field(default_factory=list)
    where: dict[Bit, Place] = field(default_factory=dict)
    initial: dict[Bit, str] = field(default_factory=dict)
    memories: dict[str, Memory] = field(default_factory=dict)
    writes: list[Cell] = field(default_factory=list)
    checks: list[tuple[Signal, Cell]] = field(default_factory=list)

    @classmethod
    def read(cls, module: Mapping[str, Any], clock: str, part: Mapping[str, Any] | None = None) -> "Netlist":
        """From a module of Yosys' JSON, and from that of its parts, the cells of it that are modules.

        ValueError for what the arrays cannot do: another clock than ``clock``, memories that begin with anything but
        zeros, parts that are not alike.
        """
        netlist = cls()
        for port, described in module["ports"].items():
            if described["direction"] == "output":
                netlist.outputs[port] = tuple(described["bits"])
            elif port != clock:
                netlist.inputs[port] = netlist._signal(tuple(described["bits"]), 1)
        parts = netlist._read(module, clock, _Scope())
        if part:
            bits = [bit for net in module["netnames"].values() for bit in net["bits"] if isinstance(bit, int)]
            scope = _Scope(len(parts), 1 + max(bits), "part.")
            netlist._connect(part, clock, scope, parts)
        return netlist

    def _connect(self, part: Mapping[str, Any], clock: str, scope: _Scope, parts: list[Mapping[str, Bits]]) -> None:
        """Add the contents of the parts, connected to their inputs and outputs."""
        names = [[_NUMBER.sub("", port) for port in connections] for connections in parts]
        if names.count(names[0]) != len(names):
            raise ValueError("the parts of a module have different ports")
        # By position, because some port names contain a number that differs between parts.
        outside = dict(zip(parts[0], zip(*(connections.values() for connections in parts), strict=True), strict=True))
        ports = {port: scope.bits(described["bits"]) for port, described in part["ports"].items() if port != clock}
        outputs = {port: inside for port, inside in ports.items() if part["ports"][port]["direction"] == "output"}
        for port, inside in ports.items():
            if port not in outputs:
                each = {str(number): bits for number, bits in enumerate(outside[port])}
                self.driven.append((self._signal(inside, scope.parts), Cell(EACH, {}, "", {"Y": inside, **each})))
        self._read(part, clock, scope)
        for port, inside in outputs.items():
            if not set(inside) <= self.where.keys():
                raise ValueError(f"port {port} of a part is constant")
            for number, bits in enumerate(outside[port]):
                places = [replace(self.where[bit], part=number) for bit in inside]
                self.where |= zip(bits, places, strict=True)

    def _read(self, module: Mapping[str, Any], clock: str, scope: _Scope) -> list[Mapping[str, Bits]]:
        """Add the contents of a module; return the connections of its cells that are modules."""
        modules = []
        for name, size in module.get("memories", {}).items():
            memory = Memory(f"m{len(self.memories)}", size["width"], size["size"], scope.parts)
            self.memories[scope.prefix + name] = memory
        for described in module["cells"].values():
            cell = _cell(described, scope)
            if not cell.kind.startswith("$"):
                modules.append(cell.connections)
            elif cell.kind != "$scopeinfo":
                self._add(cell, scope.bits(module["ports"][clock]["bits"]), scope.parts)
        for net in module["netnames"].values():
            first = net["attributes"].get("init", "")
            self.initial |= dict(zip(scope.bits(net["bits"]), reversed(first), strict=False))
        return modules

    def _add(self, cell: Cell, clock: Bits, parts: int) -> None:
        """Check a cell and add it."""
        pin = "TRG" if cell.kind == CHECK else "CLK"
        clocked = pin in cell.connections and cell.parameters.get(f"{pin}_ENABLE", 1)
        if clocked and (cell.connections[pin] != clock or not cell.parameters[f"{pin}_POLARITY"]):
            raise ValueError(f"a {cell.kind} has another clock")
        if cell.kind == MEMORY_INIT:
            if "1" in cell.connections["DATA"]:
                raise ValueError(f"memory {cell.memory} is not initialized with zeros")
        elif cell.kind == MEMORY_WRITE:
            self.writes.append(cell)
        elif cell.kind == CHECK:
            self.checks.append((Signal(f"c{len(self.checks)}", 1, parts), cell))
        else:
            self.driven.append((self._signal(cell.output, parts), cell))

    def _signal(self, bits: Bits, parts: int) -> Signal:
        signal = Signal(f"n{len(self.inputs) + len(self.driven)}", len(bits), parts)
        self.where |= {bit: Place(signal, number) for number, bit in enumerate(bits) if isinstance(bit, int)}
        return signal

    def sources(self, cell: Cell) -> Iterator[Signal]:
        """Signals that a cell reads."""
        for bits in cell.inputs:
            for bit in bits:
                if isinstance(bit, int):
                    yield self.where[bit].signal


def _cell(described: Mapping[str, Any], scope: _Scope) -> Cell:
    parameters = {
        name: int(value.replace("x", "0") or "0", 2)
        for name, value in described["parameters"].items()
        if isinstance(value, str) and not set(value) - set("01x")
    }
    memory = described["parameters"].get("MEMID", "").removeprefix("\\")
    return Cell(
        described["type"],
        parameters,
        memory and scope.prefix + memory,
        {port: scope.bits(bits) for port, bits in described["connections"].items()},
        described["parameters"].get("FORMAT", ""),
    )
