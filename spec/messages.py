"""Parts of messages: similar names, quoted values, and text from files made safe to print."""

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any

import numpy as np

from opzo.spec.errors import ChoiceError

SHOWN = 60
"""Maximum length of a value in a message."""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """``" (did you mean 'x'?)"`` where ``word`` is similar to a known name, else ``""``."""
    near = get_close_matches(word.lower(), list(known), n=1, cutoff=0.6)
    return f" (did you mean '{near[0]}'?)" if near else ""


def no_such(what: str, name: Any, known: Iterable[str], more: str = "") -> ChoiceError:
    """Error for an unknown name: suggests the nearest and lists all of ``known``, followed by ``more``."""
    names = list(known)
    hint = did_you_mean(name, names) if isinstance(name, str) else ""
    return ChoiceError(f"there is no {what} {shown(name)}{hint}; choose {', '.join(names)}{more}")


def printable(text: object) -> str:
    """Text from a file or device with control characters escaped, so that a terminal only shows it."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in str(text))


def shown(value: Any) -> str:
    """A value from the user as quoted in a message: on one line, cut to SHOWN characters."""
    if isinstance(value, np.generic):
        value = value.item()
    try:
        text = printable(" ".join(repr(value).split()))
    except ValueError:
        # Python does not print integers with thousands of digits.
        text = f"a number of {value.bit_length():,} bits"
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 3]}..."


def reason(error: BaseException) -> str:
    """Text of an error of another library, safe to print: the system's message, its first line, or its type."""
    text = str(getattr(error, "strerror", None) or error).strip()
    return printable(text.partition("\n")[0]) or type(error).__name__
