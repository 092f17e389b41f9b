"""What the JSON of a netlist must be like, so that it can be made into Verilog."""

import re
from typing import Any

CONSTANTS = ("0", "1", "x", "z")
"""Bits that are no net."""
DIRECTIONS = ("input", "output", "inout")
_NAME = re.compile(r"[\w$]+")
_TEXT = re.compile(r"[^\x00-\x1f\x7f\"\\]*")
"""A parameter: no quote and no escape, which would end a string of Verilog."""
_TABLE = re.compile(r"\s*(0b)?[01xz]+\s*")
"""A parameter whose name begins with INIT: binary digits."""


def check_module(module: Any) -> None:
    """ValueError unless ``module`` is that of a netlist.

    It has ``ports``, each with a ``direction`` and one bit, and ``cells``, each with ``type``, ``parameters`` and
    ``connections``. A bit is the number of a net or one of CONSTANTS.
    """
    cells, ports = _fields(module, "cells", "ports")
    for name, port in ports.items():
        if not isinstance(port, dict) or port.get("direction") not in DIRECTIONS or len(_bits(port.get("bits"))) != 1:
            raise ValueError(f"port {name} has no direction, or not one bit")
    for name, cell in cells.items():
        parameters, connections = _fields(cell, "parameters", "connections")
        if not isinstance(cell.get("type"), str) or not isinstance(cell.get("attributes", {}), dict):
            raise ValueError(f"cell {name} has no type")
        for port, bits in connections.items():
            if not _NAME.fullmatch(port):
                raise ValueError(f"cell {name} has a port that has no name")
            _bits(bits)
        for key, value in parameters.items():
            pattern = _TABLE if key.startswith("INIT") else _TEXT
            if type(value) not in (str, int) or not _NAME.fullmatch(key) or not pattern.fullmatch(_text(value)):
                raise ValueError(f"cell {name} has a parameter {key} without sense")


def _fields(entry: Any, *names: str) -> list[dict[str, Any]]:
    """These fields of an object, which are objects too."""
    if not isinstance(entry, dict) or not all(isinstance(entry.get(name), dict) for name in names):
        raise ValueError(f"an entry has no {' or no '.join(names)}")
    return [entry[name] for name in names]


def _bits(bits: Any) -> list[Any]:
    if not isinstance(bits, list) or not all((type(bit) is int and bit >= 0) or bit in CONSTANTS for bit in bits):
        raise ValueError("a port has a bit that is neither a net nor a constant")
    return bits


def _text(value: str | int) -> str:
    # Python does not write integers of thousands of digits.
    return value if isinstance(value, str) else str(value) if abs(value) < 1 << 64 else "\n"
