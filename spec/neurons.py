"""Neurons of the hidden layers: how a membrane potential leaks, and what a spike leaves of it.

    v[t] = sat(leak(v'[t - 1]) + I[t]);   spike where v[t] + noise >= threshold;   v'[t] = reset(v[t]) on a spike

Each hidden layer has a `Leak` and a `Reset`. Presynaptic traces leak by one half whatever the neurons do, because the
history of a neuron is the binary fraction of its trace; for a leak other than 1/2 the gradient in time is an
approximation.
"""

from collections.abc import Sequence
from enum import IntEnum
from typing import Any, Self, TypeVar

import numpy as np

from opzo.spec.errors import NetworkError
from opzo.spec.messages import no_such, shown

K = TypeVar("K", "Leak", "Reset")


class Leak(IntEnum):
    """Factor of the membrane potential from one time step to the next; the value is its number in register NEURON.

    Attributes
    ----------
    text : str
        As written on the command line: ``3/4``.
    shift : int
        ``k`` of ``v - (v >> k)``, which floors; 0 for no leak. HALF is ``v >> 1`` instead, which differs by one for odd
        ``v``: networks of earlier releases stay as they are, bit for bit.
    """

    _value_: int
    text: str
    shift: int

    HALF = 0, "1/2", 1
    THREE_QUARTERS = 1, "3/4", 2
    SEVEN_EIGHTHS = 2, "7/8", 3
    FIFTEEN_SIXTEENTHS = 3, "15/16", 4
    ONE = 4, "1", 0

    def __new__(cls, value: int, *columns: Any) -> Self:
        """Leak with its text and shift; calls with the value alone find a member."""
        leak = int.__new__(cls, value)
        leak._value_, (leak.text, leak.shift) = value, columns
        return leak

    @property
    def factor(self) -> float:
        """The leak as a number, 1 for integrate-and-fire."""
        return 1 - 2.0**-self.shift if self.shift else 1.0

    @classmethod
    def of_register(cls, content: int) -> "Leak":
        """Leak for the content of register NEURON; a number that is no leak acts like ONE."""
        return cls(min(content & (1 << LEAK_BITS) - 1, cls.ONE))

    @classmethod
    def parse(cls, name: "Leak | str | float") -> "Leak":
        """Leak of a text like ``3/4`` or a number like 0.75, or the leak itself; ChoiceError for another one."""
        return _parse(cls, name, "leak", {leak.factor: leak for leak in cls})


class Reset(IntEnum):
    """What a spike does to the membrane potential; the value is its number in register NEURON."""

    _value_: int
    text: str
    meaning: str

    SUBTRACT = 0, "subtract", "A spike takes the threshold off the potential."
    ZERO = 1, "zero", "A spike sets the potential to 0."

    def __new__(cls, value: int, *columns: Any) -> Self:
        """Reset with its text and meaning; calls with the value alone find a member."""
        reset = int.__new__(cls, value)
        reset._value_, (reset.text, reset.meaning) = value, columns
        return reset

    @classmethod
    def of_register(cls, content: int) -> "Reset":
        """Reset for the content of register NEURON."""
        return cls(content >> LEAK_BITS)

    @classmethod
    def parse(cls, name: "Reset | str") -> "Reset":
        """Reset of its text, or the reset itself; ChoiceError for another one."""
        return _parse(cls, name, "reset", {})


LEAK_BITS = max(Leak).bit_length()
NEURON_BITS = LEAK_BITS + max(Reset).bit_length()
"""Bits of register NEURON: the leak, then the reset."""


def neuron_register(leak: Leak, reset: Reset) -> int:
    """Content of register NEURON."""
    return leak | reset << LEAK_BITS


def _parse(kinds: type[K], name: Any, what: str, numbers: dict[float, K]) -> K:
    if isinstance(name, kinds):
        return name
    known = {kind.text: kind for kind in kinds}
    if isinstance(name, str) and name.strip().lower() in known:
        return known[name.strip().lower()]
    number = isinstance(name, int | float | np.number) and not isinstance(name, bool | IntEnum)
    if number and name in numbers:
        return numbers[float(name)]
    raise no_such(what, name, known)


def by_layer(kinds: type[K], given: Any, layers: int) -> tuple[K, ...]:
    """Kind of each of ``layers`` hidden layers, from one for all, a sequence, or a text like ``1/2,3/4``.

    Raises ChoiceError for an unknown one, NetworkError where their number is wrong.
    """
    items = given.split(",") if isinstance(given, str) else given
    if isinstance(items, str) or not isinstance(items, Sequence | np.ndarray):
        items = [items]
    found = tuple(kinds.parse(item) for item in items)
    if len(found) not in (1, layers):
        what = kinds.__name__.lower()
        raise NetworkError(
            f"{what} is {shown(given)}, of {len(found)} hidden layers; give one for all, or one for each of {layers}"
        )
    return found * layers if len(found) == 1 else found


def choices(kinds: type[Leak] | type[Reset]) -> str:
    """Texts of all members: ``a, b or c``."""
    *first, last = (kind.text for kind in kinds)
    return f"{', '.join(first)} or {last}"


def in_words(kinds: Sequence[Leak] | Sequence[Reset]) -> str:
    """Text that `by_layer` reads: one for all layers, or one for each."""
    return ",".join(kind.text for kind in (kinds[:1] if len(set(kinds)) == 1 else kinds))
