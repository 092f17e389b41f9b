"""Tables of numbers that travel or lie in registers: enumerations whose members say what they mean."""

from enum import IntEnum
from typing import Self


class Described(IntEnum):
    """Members are written ``NAME = value, "meaning"``; documentation is made from them."""

    _value_: int
    meaning: str

    def __new__(cls, value: int, *columns: str) -> Self:
        """Member with its meaning; calls with the value alone find a member."""
        member = int.__new__(cls, value)
        member._value_, (member.meaning,) = value, columns
        return member
