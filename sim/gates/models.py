"""The Verilog models of cells in ``cells``, a folder for each family: what a netlist may use."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

CELLS = Path(__file__).with_name("cells")
"""Folder of the models, with a folder for each family."""
_HEADER = re.compile(r"module\s+(\w+)\s*(?:#\((.*?)\))?\s*\(([^;]*?)\);", re.DOTALL)
_PORT = re.compile(r"(?:(input|output)\s+)?(?:reg\s+)?(?:\[(\d+):0\]\s*)?(\w+)")
_PARAMETER = re.compile(r"parameter\s+(?:\[[^\]]*\]\s*)?(\w+)")


@dataclass(frozen=True)
class Model:
    """Module that models a type of cell: its name, names of its parameters, width of each port."""

    name: str
    parameters: tuple[str, ...]
    inputs: Mapping[str, int]
    outputs: Mapping[str, int]


@cache
def models(family: str) -> dict[str, Model]:
    """All models of a family by the name of their module."""
    return {
        name: _model(name, parameters, ports)
        for path in sorted((CELLS / family).glob("*.v"))
        for name, parameters, ports in _HEADER.findall(path.read_text())
    }


def models_verilog(family: str) -> str:
    """Text of all models of a family."""
    return "".join(path.read_text() for path in sorted((CELLS / family).glob("*.v")))


def _model(name: str, parameters: str, ports: str) -> Model:
    """Model with the header of its module."""
    widths: dict[str, dict[str, int]] = {"input": {}, "output": {}}
    direction, width = "input", 1
    for part in filter(None, map(str.strip, ports.split(","))):
        match = _PORT.fullmatch(part)
        assert match, part
        # A direction and a width hold until the next direction.
        if match[1]:
            direction, width = match[1], int(match[2] or 0) + 1
        widths[direction][match[3]] = width
    return Model(name, tuple(_PARAMETER.findall(parameters)), widths["input"], widths["output"])
