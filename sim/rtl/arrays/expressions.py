"""Cells as Verilog expressions."""

from collections.abc import Callable

from opzo.sim.rtl.arrays.netlist import Bits, Cell

Operand = Callable[[Bits], str]
"""Function that returns the unsigned Verilog expression for some bits."""

_BINARY = {
    "$add": "+",
    "$sub": "-",
    "$mul": "*",
    "$and": "&",
    "$or": "|",
    "$xor": "^",
    "$eq": "==",
    "$ne": "!=",
    "$lt": "<",
    "$le": "<=",
    "$gt": ">",
    "$ge": ">=",
    "$logic_and": "&&",
    "$logic_or": "||",
    "$shl": "<<",
    "$shr": ">>",
    "$sshr": ">>>",
    # A selection with a variable offset. Amaranth's are unsigned, so that it shifts right only.
    "$shift": ">>",
}
_UNARY = {
    "$not": "~",
    "$neg": "-",
    "$pos": "+",
    "$logic_not": "!",
    "$reduce_and": "&",
    "$reduce_or": "|",
    "$reduce_bool": "|",
    "$reduce_xor": "^",
}
_ONE_BIT = {*_UNARY} - {"$not", "$neg", "$pos"} | {"$eq", "$ne", "$lt", "$le", "$gt", "$ge", "$logic_and", "$logic_or"}
_SHIFTS = {"$shl", "$shr", "$sshr", "$shift"}


def expression(cell: Cell, operand: Operand) -> str:
    """Expression of a logic cell, to be assigned to its output bits; ValueError for an unknown type."""
    kind, connections = cell.kind, cell.connections
    if kind == "$mux":
        return f"{operand(connections['S'])} ? {operand(connections['B'])} : {operand(connections['A'])}"
    if kind == "$pmux":
        return _parallel(cell, operand)
    if kind in _UNARY:
        return f"{_UNARY[kind]}{_signed(cell, 'A', operand)}"
    if kind == "$shift" and cell.parameters.get("B_SIGNED"):
        raise ValueError("a shift to the left or right has no expression")
    if kind in _BINARY:
        return f"{_signed(cell, 'A', operand)} {_BINARY[kind]} {_signed(cell, 'B', operand)}"
    raise ValueError(f"no expression for a cell of type {kind}")


def self_determined(cell: Cell) -> bool:
    """Whether the expression has the width of the cell's output, so that it can be nested in another expression."""
    width, connections = len(cell.output), cell.connections
    if cell.kind in _ONE_BIT:
        return width == 1
    if cell.kind in _SHIFTS:
        return len(connections["A"]) == width
    if cell.kind in ("$mux", "$pmux"):
        return True
    return max(len(connections[port]) for port in ("A", "B") if port in connections) == width


def _signed(cell: Cell, port: str, operand: Operand) -> str:
    text = operand(cell.connections[port])
    return f"$signed({text})" if cell.parameters.get(f"{port}_SIGNED") else text


def _parallel(cell: Cell, operand: Operand) -> str:
    width = len(cell.output)
    text = operand(cell.connections["A"])
    for number, select in enumerate(cell.connections["S"]):
        chosen = cell.connections["B"][number * width : (number + 1) * width]
        text = f"({operand((select,))} ? {operand(chosen)} : {text})"
    return text
