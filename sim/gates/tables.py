"""Look-up tables as Verilog expressions.

Most tables are a gate or two: as expressions they compile and run several times faster than as look-ups.
"""

from collections.abc import Sequence
from functools import cache

HIGH, LOW = "1'b1", "1'b0"
Expression = tuple[int, str]
"""Number of operators, and text with ``{0}``, ``{1}`` ... for the inputs."""


def table_expression(table: int, inputs: Sequence[str]) -> str:
    """Entry ``{..., inputs[1], inputs[0]}`` of ``table``, as FPGA-DS-02012 (ECP5 and ECP5-5G Family Data Sheet), "PFU
    Blocks", and the FPGA Libraries Reference Guide, "LUT4", define it. Inputs may be ``1'b0`` and ``1'b1``."""
    names = list(inputs)
    for number in reversed(range(len(names))):
        if names[number] in (HIGH, LOW):
            table = _cofactor(table, len(names), number, names[number] == HIGH)
            del names[number]
    _, text = _expression(table & ((1 << (1 << len(names))) - 1), len(names))
    return text.format(*names)


def _cofactor(table: int, count: int, number: int, value: bool) -> int:
    """Table of the other inputs where input ``number`` of ``count`` has a value."""
    places = [place for place in range(1 << count) if bool(place >> number & 1) is value]
    return sum((table >> place & 1) << n for n, place in enumerate(places))


@cache
def _expression(table: int, count: int) -> Expression:
    """Short expression of a table of ``count`` inputs."""
    full = (1 << (1 << count)) - 1
    if table in (0, full):
        return 0, f"1'b{int(table == full)}"
    return min((_split(table, count, number) for number in range(count)), key=lambda found: (found[0], len(found[1])))


def _split(table: int, count: int, number: int) -> Expression:
    """Expression that decides by input ``number`` first."""
    rest = (1 << (1 << (count - 1))) - 1
    low, high = (_cofactor(table, count, number, value) for value in (False, True))
    others = [f"{{{place}}}" for place in range(count) if place != number]
    name = f"{{{number}}}"

    def of(part: int) -> Expression:
        cost, text = _expression(part, count - 1)
        return cost, text.format(*others)

    (low_cost, low_text), (high_cost, high_text) = of(low), of(high)
    if low == high:
        return low_cost, low_text
    if (low, high) == (0, rest):
        return 0, name
    if (low, high) == (rest, 0):
        return 1, f"~{name}"
    if low == 0:
        return high_cost + 1, f"({name} & {high_text})"
    if high == 0:
        return low_cost + 2, f"(~{name} & {low_text})"
    if low == rest:
        return high_cost + 2, f"(~{name} | {high_text})"
    if high == rest:
        return low_cost + 1, f"({name} | {low_text})"
    if high == low ^ rest:
        return low_cost + 1, f"({name} ^ {low_text})"
    return low_cost + high_cost + 2, f"({name} ? {high_text} : {low_text})"
