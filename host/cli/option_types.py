"""Types of option values for argparse: each converts text to a value, or raises an error that states the range."""

import argparse
import math
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from opzo.spec.errors import OpzoError
from opzo.spec.values import real_number, whole_number

SIDE_MAX = 1 << 16
"""Largest width or height in pixels: coordinates of events have 16 bits."""


def integer(low: int, high: int | None = None) -> Callable[[str], int]:
    """Integer in ``low..high``, both included; no upper limit without ``high``."""

    def parse(text: str) -> int:
        value: Any = text
        with suppress(ValueError):
            value = int(text)
        return whole_number("the value", value, low, high, error=_OptionValueError)

    return parse


def number(low: float, high: float = math.inf, *, above: bool = False) -> Callable[[str], float]:
    """Finite number in ``low..high``, both included; ``above`` excludes ``low``."""

    def parse(text: str) -> float:
        value: Any = text
        with suppress(ValueError):
            value = float(text)
        if above and value == low:
            raise argparse.ArgumentTypeError(f"the value must be above {low:g}, not '{text}'")
        return real_number("the value", value, low, high, error=_OptionValueError)

    return parse


positive = number(0, above=True)
"""Finite number above 0."""


def size(text: str) -> tuple[int, int]:
    """Width and height from ``48x32``, or from ``48`` for a square."""
    sides = text.lower().split("x")
    if len(sides) > 2 or not all(side.isdecimal() and 0 < int(side[:9]) <= SIDE_MAX for side in sides):
        raise argparse.ArgumentTypeError(f"must be WxH with sides of 1..{SIDE_MAX} pixels, not '{text}'")
    return int(sides[0]), int(sides[-1])


class _OptionValueError(OpzoError, argparse.ArgumentTypeError):
    """Invalid value; argparse adds the name of the option to the message."""
