"""A cell of a netlist: its pins and parameters as Verilog."""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from opzo.sim.gates.models import Model
from opzo.sim.gates.tables import HIGH, LOW, table_expression

UNUSED = {"LSR": LOW, "T": LOW}
"""Inputs that the tools switch off where nothing drives them: set/reset, output off. The device pulls others up."""
INITS = {"INITVAL": "INITVAL_", "INIT_RAM": "INIT_RAM_"}
"""Parameters of models that hold a block RAM's 64 parameters, the last in front, and how their names begin."""
_NUMBER = re.compile(r"[01xz]+")


class Cell:
    """Pins and parameters of a cell, as Verilog. It remembers which pins its model has taken.

    Parameters
    ----------
    entry : dict
        The cell's entry of the JSON.
    """

    def __init__(self, entry: Mapping[str, Any]) -> None:
        self._connections: dict[str, list[Any]] = entry["connections"]
        self._parameters: dict[str, Any] = entry["parameters"]
        self._taken: set[str] = set()
        self._read: set[str] = set()
        self._open: list[str] = []

    def ignore(self) -> None:
        """Count all pins and parameters as modelled."""
        self._taken |= self._connections.keys()
        self._read |= self._parameters.keys()

    def unread(self) -> str:
        """A parameter that the model has not; '' if there is none."""
        return next((name for name in self._parameters if name not in self._read), "")

    def undriven(self) -> str:
        """An input of the model to which nothing is connected; '' if there is none."""
        return next(iter(self._open), "")

    def unmodelled(self) -> str:
        """A pin that is connected, but that the model has not; '' if there is none."""
        left = (port for port in self._connections if port not in self._taken)
        return next((port for port in left if any(isinstance(bit, int) for bit in self._connections[port])), "")

    def text(self, parameter: str, default: str) -> str:
        """Parameter as text."""
        self._read.add(parameter)
        return str(self._parameters.get(parameter, default)).strip()

    def input(self, port: str) -> str:
        """What drives an input."""
        return self._driver(port, self._bit(port))

    def bus(self, port: str, width: int) -> list[str]:
        """What drives each bit of an input, the lowest first."""
        return self._inputs(port, width)

    def output(self, port: str) -> str:
        """Net at an output; '' if there is none."""
        bit = self._bit(port)
        return net(bit) if isinstance(bit, int) else ""

    def drive(self, port: str, expression: str) -> Iterator[str]:
        """Statement that drives an output, if it has a net."""
        if at := self.output(port):
            yield f"assign {at} = {expression};"

    def table(self, parameter: str, inputs: Iterable[str]) -> str:
        """Look-up in the table ``parameter`` by ``inputs``; the first is the lowest bit of an entry's number."""
        # Undefined entries are never read.
        table = int(self.text(parameter, "0").replace("x", "0"), 2)
        return table_expression(table, [self.input(name) for name in inputs])

    def instance(self, label: str, model: Model) -> Iterator[str]:
        """Instance of a model."""
        pins = [f".{port}({_joined(self._inputs(port, width))})" for port, width in model.inputs.items()]
        for port, width in model.outputs.items():
            nets = [net(bit) if isinstance(bit, int) else "" for _, bit in self._bits(port, width)]
            if any(nets):
                loose = {n: f"{label}_{port}{n}" for n, at in enumerate(nets) if not at}
                yield from (f"wire {name};" for name in loose.values())
                pins.append(f".{port}({_joined([at or loose[n] for n, at in enumerate(nets)])})")
        given = [f".{key}({value})" for key, value in self._given(model)]
        parameters = f" #({', '.join(given)})" if given else ""
        yield f"{model.name}{parameters} {label} ({', '.join(pins)});"

    def _bit(self, port: str) -> Any:
        """Net or constant at a port of one bit; None if there is none."""
        self._taken.add(port)
        return (self._connections.get(port) or [None])[0]

    def _bits(self, port: str, width: int) -> list[tuple[str, Any]]:
        """Name and net of each bit of a model's port: one port of the cell, or one with a number for each bit."""
        if port in self._connections:
            self._taken.add(port)
            bits = [*self._connections[port], *[None] * width]
            return [(port, bits[n]) for n in range(width)]
        names = [port] if width == 1 else [f"{port}{n}" for n in range(width)]
        return [(name, self._bit(name)) for name in names]

    def _inputs(self, port: str, width: int) -> list[str]:
        return [self._driver(name, bit) for name, bit in self._bits(port, width)]

    def _driver(self, port: str, bit: Any) -> str:
        """What drives an input, through the multiplexer of the input: the net, its inverse or a constant."""
        if bit is None:
            self._open.append(port)
        at = UNUSED.get(port, HIGH) if bit in (None, "x", "z") else net(bit)
        match self.text(f"{port}MUX", port):
            case "INV":
                return {HIGH: LOW, LOW: HIGH}.get(at, f"~{at}")
            case "0":
                return LOW
            case "1":
                return HIGH
            case _:
                return at

    def _given(self, model: Model) -> Iterator[tuple[str, str]]:
        """Parameters of an instance."""
        for key in model.parameters:
            self._read.add(key)
            if key in self._parameters:
                yield key, _value(self._parameters[key])
            elif key in INITS:
                names = [f"{INITS[key]}{n:02X}" for n in range(63, -1, -1)]
                self._read.update(names)
                if parts := [_value(self._parameters[name]) for name in names if name in self._parameters]:
                    yield key, f"{{{', '.join(parts)}}}"


def net(bit: Any) -> str:
    """Net or constant of the JSON."""
    return f"n{bit}" if isinstance(bit, int) else f"1'b{bit}"


def _joined(bits: list[str]) -> str:
    return bits[0] if len(bits) == 1 else f"{{{', '.join(reversed(bits))}}}"


def _value(value: Any) -> str:
    """Parameter as Verilog: the JSON has numbers as binary digits, and a space behind texts that look like one."""
    text = str(value)
    if text.startswith("0b"):
        text = text[2:]
    if _NUMBER.fullmatch(text):
        return f"{len(text)}'b{text.replace('x', '0').replace('z', '0')}"
    return f'"{text.rstrip()}"'
