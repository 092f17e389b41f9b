"""Comparison of a device's arrays with the expected ones, and the error that names the first difference."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray


class MismatchError(Exception):
    """The device differs from what is expected.

    Parameters
    ----------
    where : str
        Step, memory, register, row, lane.
    expected, got : str
    """

    def __init__(self, where: str, expected: str, got: str) -> None:
        super().__init__(f"{where}: expected {expected}, got {got}")
        self.where, self.expected, self.got = where, expected, got


Place = Callable[[tuple[int, ...]], str]
"""Function that names the entry of an array at an index."""


def entry_of(what: str, *axes: str) -> Place:
    """Function that names entries of the array ``what`` with these axes."""

    def place(index: tuple[int, ...]) -> str:
        return ", ".join([what, *(f"{axis} {i}" for axis, i in zip(axes, index, strict=True))])

    return place


def require_equal(actual: NDArray[Any], expected: NDArray[Any], place: Place, digits: int = 4) -> None:
    """Raise MismatchError for the first entry that differs between two arrays, with ``digits`` hexadecimal digits."""
    different = np.argwhere(actual != expected)
    if len(different) == 0:
        return
    index = tuple(int(i) for i in different[0])
    more = f" ({len(different)} of {actual.size} entries differ)" if len(different) > 1 else ""
    raise MismatchError(
        place(index), f"0x{int(expected[index]):0{digits}x}", f"0x{int(actual[index]):0{digits}x}{more}"
    )
