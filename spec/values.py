"""Type and range checks of numbers from the user: the same for Python, TOML and the command line."""

import math
from typing import Any

import numpy as np

from opzo.spec.errors import OpzoError
from opzo.spec.messages import shown


def whole_number(
    what: str, value: Any, low: int, high: int | None = None, *, hint: str = "", error: type[OpzoError] = OpzoError
) -> int:
    """``value`` as an int in ``low..high``, both included. NumPy integers are accepted; bool and float are not.

    Raises ``error`` with a message that names ``what``, followed by ``hint`` where the type is wrong.
    """
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise error(f"{what} must be a whole number{_kind(low, high)}, not {shown(value)}{hint}")
    if value < low or (high is not None and value > high):
        raise error(f"{what} must be {_span(low, high)}, not {shown(value)}")
    return int(value)


def real_number(
    what: str, value: Any, low: float, high: float = math.inf, *, error: type[OpzoError] = OpzoError
) -> float:
    """``value`` as a finite float in ``low..high``, both included.

    Integers and NumPy numbers are accepted, bool is not.

    Raises ``error`` with a message that names ``what``.
    """
    if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating):
        raise error(f"{what} must be a number{_kind(low, high)}, not {shown(value)}")
    if not low <= value <= high or not is_finite(value):
        raise error(f"{what} must be {_span(low, high)}, not {shown(value)}")
    return float(value)


def is_finite(value: float | np.integer[Any] | np.floating[Any]) -> bool:
    """Whether ``value`` is a float, or an integer that can be made one, and neither infinite nor NaN."""
    try:
        return math.isfinite(value)
    except OverflowError:
        return False


def _kind(low: float, high: float | None) -> str:
    """Text of the range, to follow the type."""
    span = _span(low, high)
    return f" {span}" if span.startswith("in") else f" of {span}"


def _span(low: float, high: float | None) -> str:
    return f"{low} or more" if high is None or math.isinf(high) else f"in {low}..{high}"
