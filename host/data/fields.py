"""Named arrays of a file, each read with a check of type, shape and range."""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from opzo.spec.messages import printable

SHOWN = 40
"""Maximum length of an invalid value in a message, in characters."""


class Fields:
    """Arrays by name; each method raises ValueError, naming the array, if it is missing or not as described."""

    def __init__(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        self._arrays = arrays

    def __contains__(self, name: str) -> bool:
        return name in self._arrays

    def integer(self, name: str, low: int, high: int) -> int:
        """Whole number in ``low..high``, inclusive."""
        array = self.given(name)
        if array.ndim or array.dtype.kind not in "iu" or not low <= int(array) <= high:
            raise ValueError(f"{name} is {_shown(array)}; expected a whole number in {low}..{high}")
        return int(array)

    def integers(self, name: str, low: int, high: int, count: int | None = None) -> tuple[int, ...]:
        """List of whole numbers in ``low..high``, inclusive; of length ``count`` if that is given."""
        array = self.given(name)
        if array.ndim != 1 or array.dtype.kind not in "iu" or (count is not None and len(array) != count):
            raise ValueError(f"{name} is {array.dtype} {array.shape}; expected {count or 'a list of'} whole numbers")
        values = tuple(array.tolist())
        for value in values:
            if not low <= value <= high:
                raise ValueError(f"{name} contains {value}; expected whole numbers in {low}..{high}")
        return values

    def text(self, name: str) -> str:
        """One string."""
        array = self.given(name)
        if array.ndim or array.dtype.kind != "U":
            raise ValueError(f"{name} is {array.dtype} {array.shape}; expected a string")
        return str(array)

    def json_object(self, name: str) -> dict[str, Any]:
        """JSON object of finite numbers and strings without control characters."""
        text = self.text(name)
        try:
            value = json.loads(text, parse_constant=_refuse)
        except RecursionError:
            raise ValueError(f"{name} is nested too deeply") from None
        except ValueError as error:
            raise ValueError(f"{name} is not JSON: {error}") from None
        if not isinstance(value, dict):
            raise ValueError(f"{name} is {_shown(value)}; expected a JSON object")
        return value

    def array(
        self, name: str, kind: type, shape: tuple[int, ...], low: int | None = None, high: int | None = None
    ) -> NDArray[Any]:
        """Array of this type and shape, with all entries in ``low..high``, inclusive."""
        array = self.given(name)
        if array.dtype != kind or array.shape != shape:
            raise ValueError(f"{name} is {array.dtype} {array.shape}; expected {kind.__name__} {shape}")
        if array.size:
            for bound, value, wrong in ((low, array.min(), np.less), (high, array.max(), np.greater)):
                if bound is not None and wrong(value, bound):
                    span = f"{low}..{high}" if high is not None else f"{low} or more"
                    raise ValueError(f"{name} contains {value}; expected {span}")
        return array

    def given(self, name: str) -> NDArray[Any]:
        """Array without any check."""
        if name not in self._arrays:
            raise ValueError(f"{name} is missing")
        return self._arrays[name]


def _shown(value: Any) -> str:
    """Text for a value in a message, truncated."""
    if isinstance(value, np.ndarray) and value.ndim:
        return f"{value.dtype} {value.shape}"
    text = printable(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is not a finite number")
