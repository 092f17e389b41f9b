"""Named arrays of a file, read one by one with a check of type, shape and range."""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from opzo.spec.messages import printable

SHOWN = 40
"""Characters of a wrong value in a message."""


class Fields:
    """Arrays by name; every method raises ValueError, naming the array, where it is missing or not as described."""

    def __init__(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        self._arrays = arrays

    def __contains__(self, name: str) -> bool:
        return name in self._arrays

    def integer(self, name: str, low: int, high: int) -> int:
        """A whole number in ``low..high``, both included."""
        array = self.given(name)
        if array.ndim or array.dtype.kind not in "iu" or not low <= int(array) <= high:
            raise ValueError(f"{name} is {_shown(array)}, a whole number in {low}..{high} expected")
        return int(array)

    def integers(self, name: str, low: int, high: int, count: int | None = None) -> tuple[int, ...]:
        """Whole numbers in ``low..high``; ``count`` of them, or any number."""
        array = self.given(name)
        if array.ndim != 1 or array.dtype.kind not in "iu" or (count is not None and len(array) != count):
            raise ValueError(f"{name} is {array.dtype} {array.shape}, {count or 'a list of'} whole numbers expected")
        values = tuple(array.tolist())
        for value in values:
            if not low <= value <= high:
                raise ValueError(f"{name} holds {value}, whole numbers in {low}..{high} expected")
        return values

    def text(self, name: str) -> str:
        """A text."""
        array = self.given(name)
        if array.ndim or array.dtype.kind != "U":
            raise ValueError(f"{name} is {array.dtype} {array.shape}, a text expected")
        return str(array)

    def json_object(self, name: str) -> dict[str, Any]:
        """A JSON object of finite numbers and texts without control characters."""
        text = self.text(name)
        try:
            value = json.loads(text, parse_constant=_refuse)
        except RecursionError:
            raise ValueError(f"{name} is nested too deeply") from None
        except ValueError as error:
            raise ValueError(f"{name} is not JSON: {error}") from None
        if not isinstance(value, dict):
            raise ValueError(f"{name} is {_shown(value)}, a JSON object expected")
        return value

    def array(
        self, name: str, kind: type, shape: tuple[int, ...], low: int | None = None, high: int | None = None
    ) -> NDArray[Any]:
        """An array of this type and shape, all of it in ``low..high``."""
        array = self.given(name)
        if array.dtype != kind or array.shape != shape:
            raise ValueError(f"{name} is {array.dtype} {array.shape}, {kind.__name__} {shape} expected")
        if array.size:
            for bound, value, wrong in ((low, array.min(), np.less), (high, array.max(), np.greater)):
                if bound is not None and wrong(value, bound):
                    span = f"{low}..{high}" if high is not None else f"{low} or more"
                    raise ValueError(f"{name} holds {value}, {span} expected")
        return array

    def given(self, name: str) -> NDArray[Any]:
        """An array, as it is."""
        if name not in self._arrays:
            raise ValueError(f"{name} is missing")
        return self._arrays[name]


def _shown(value: Any) -> str:
    """A value in a message, cut short."""
    if isinstance(value, np.ndarray) and value.ndim:
        return f"{value.dtype} {value.shape}"
    text = printable(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is not a finite number")
