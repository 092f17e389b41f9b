"""Estimate the duration of a build before it begins."""

from collections.abc import Iterable
from math import ceil

from opzo.boards.area import AREAS
from opzo.boards.board import Board
from opzo.boards.families.tools import is_wheel
from opzo.spec.limits import Limits

MEASURED_LUTS = 13_500
"""Look-up tables of the measured chip: 4 lanes on ECP5, built on a 2-core x86-64 machine."""
NATIVE = 120, 1.8
"""Build time in seconds of the measured chip with native tools, and the exponent with which it grows with the look-up
tables: 16 lanes (28,800) took 8 minutes, 64 lanes (54,100) 20 to 30."""
WHEELS = 240, 2.0
"""The same with the tools from wheels; they take more than an hour for 64 lanes."""


def build_seconds(board: Board, limits: Limits, *, wheels: bool) -> float:
    """Estimated build time in seconds of a chip on a board with open tools."""
    seconds, power = WHEELS if wheels else NATIVE
    return float(seconds * (AREAS[board.family].estimate(limits).luts / MEASURED_LUTS) ** power)


def forecast(board: Board, limits: Limits, commands: Iterable[str]) -> str:
    """Text about the duration of a build with the tools ``commands``, as `find_tool` returns them."""
    wheels = any(map(is_wheel, commands))
    minutes = build_seconds(board, limits, wheels=wheels) / 60
    time = f"{ceil(minutes)} minutes" if minutes < 90 else f"{minutes / 60:.1f} hours"
    whose = "tools installed by pip" if wheels else "native tools"
    return f"about {time} with {limits.lanes} lanes and {whose}, as estimated from builds on an idle 2-core machine"
