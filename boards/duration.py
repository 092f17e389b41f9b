"""How long a build takes, estimated before it begins."""

from collections.abc import Iterable
from math import ceil

from opzo.boards.area import AREAS
from opzo.boards.board import Board
from opzo.boards.families.tools import is_wheel
from opzo.spec.network import Limits

MEASURED_LUTS = 13_500
"""Look-up tables of the chip that was measured: 4 lanes on ECP5, on a 2-core x86-64 machine."""
NATIVE = 120, 1.8
"""Seconds of that chip with native tools, and the power of the look-up tables with which they grow: 16 lanes (28,800)
took 8 minutes, 64 lanes (54,100) 20 to 30."""
WHEELS = 240, 2.0
"""The same with the tools of the wheels, in which the build of 64 lanes takes more than an hour."""


def build_seconds(board: Board, limits: Limits, *, wheels: bool) -> float:
    """Estimate for a chip on a board with open tools."""
    seconds, power = WHEELS if wheels else NATIVE
    return float(seconds * (AREAS[board.family].estimate(limits).luts / MEASURED_LUTS) ** power)


def forecast(board: Board, limits: Limits, commands: Iterable[str]) -> str:
    """What to tell the user before a build with the tools ``commands``, as `find_tool` finds them."""
    wheels = any(map(is_wheel, commands))
    minutes = build_seconds(board, limits, wheels=wheels) / 60
    time = f"{ceil(minutes)} minutes" if minutes < 90 else f"{minutes / 60:.1f} hours"
    whose = "tools installed by pip" if wheels else "native tools"
    return f"about {time} with {limits.lanes} lanes and {whose}, as estimated from builds on an idle 2-core machine"
