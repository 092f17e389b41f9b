"""Words for messages: names that a user may have meant, and texts of files made fit to print."""

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any

import numpy as np

from opzo.spec.errors import ChoiceError

SHOWN = 60
"""Most characters of a value in a message."""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """``" (did you mean 'x'?)"`` where ``word`` is close to a known name, else nothing."""
    near = get_close_matches(word.lower(), list(known), n=1, cutoff=0.6)
    return f" (did you mean '{near[0]}'?)" if near else ""


def no_such(what: str, name: Any, known: Iterable[str], more: str = "") -> ChoiceError:
    """Error of a name that is not among the ``known`` ones, with the nearest; ``more`` ends the list of them."""
    names = list(known)
    hint = did_you_mean(name, names) if isinstance(name, str) else ""
    return ChoiceError(f"there is no {what} {shown(name)}{hint}; choose {', '.join(names)}{more}")


def printable(text: object) -> str:
    """Text from a file or a device as one that a terminal shows and does not obey: control characters escaped."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in str(text))


def shown(value: Any) -> str:
    """A value that a user gave, as a message quotes it: on one line, and cut where it is long."""
    if isinstance(value, np.generic):
        value = value.item()
    try:
        text = printable(" ".join(repr(value).split()))
    except ValueError:
        # Python does not write out whole numbers of thousands of digits.
        text = f"a number of {value.bit_length():,} bits"
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 3]}..."


def reason(error: BaseException) -> str:
    """What an error of another library says, fit to print: the system's words, its first line, or its kind."""
    text = str(getattr(error, "strerror", None) or error).strip()
    return printable(text.partition("\n")[0]) or type(error).__name__
