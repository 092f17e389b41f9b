"""Names of classes: checked where a file gives them, found where a user gives one, and printed next to the number."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from opzo.spec.errors import OpzoError
from opzo.spec.messages import did_you_mean, printable

Names = tuple[str, ...]
"""In order of label; empty where they are unknown."""
CLASSES = "classes"
"""Array of a file of data."""
CLASSES_MAX = 64
"""Classes that a chip tells apart."""
NAME_MAX = 255
"""Characters of a name: that of a folder."""


def names_of_array(array: NDArray[Any], what: str, count: range) -> Names:
    """Names of the array ``what`` of a file; ValueError where it is no list of ``count`` names."""
    expected = f"{count[0]}" if len(count) == 1 else f"{count[0]} to {count[-1]}"
    if array.ndim != 1 or array.dtype.kind != "U" or len(array) not in count:
        raise ValueError(f"{what} is {array.dtype} of shape {array.shape}; a list of {expected} names expected")
    names = tuple(map(str, array.tolist()))
    for label, name in enumerate(names):
        if not 1 <= len(name) <= NAME_MAX:
            raise ValueError(f"{what}: the name of class {label} has {len(name)} characters, not 1 to {NAME_MAX}")
    return names


def names_of_data(arrays: Mapping[str, NDArray[Any]], path: Path, remedy: str) -> Names:
    """Names in a file of data, as its array CLASSES, or none; OpzoError, ending in ``remedy``, where they are wrong."""
    if CLASSES not in arrays:
        return ()
    try:
        return names_of_array(arrays[CLASSES], CLASSES, range(1, CLASSES_MAX + 1))
    except ValueError as error:
        raise OpzoError(f"{path}: {error}; {remedy}") from None


def padded(names: Names, classes: int) -> Names:
    """Names for all ``classes`` of a network: numbers stand in where the data have fewer; none stay none."""
    return (*names, *map(str, range(len(names), classes)))[:classes] if names else ()


def class_text(label: int, names: Sequence[str]) -> str:
    """A class as users see it: its number, and its name where that says more."""
    if label >= len(names) or names[label] == str(label):
        return str(label)
    return f"{label} ({printable(names[label])})"


def other_names(network: Names, data: Names) -> str:
    """What to warn of where the data's classes are not those that the network learned; '' where they are."""
    for label, (learned, given) in enumerate(zip(network, data, strict=False)):
        if learned != given:
            return (
                f"class {label} is {printable(learned)} to the network and {printable(given)} in the data; the figures "
                "are right only where the labels mean the same"
            )
    return ""


def find_class(text: str, names: Sequence[str], classes: int) -> int:
    """Class of a name or number that a user gave; OpzoError, with what there is, where it is none."""
    if text in names:
        return names.index(text)
    if text.isascii() and text.isdecimal() and int(text[:9]) < classes and len(text) < 9:
        return int(text)
    numbers = f"give a number in 0..{classes - 1}"
    if not names:
        raise OpzoError(f"'{printable(text)}' is not a class; {numbers} (the network has no names of classes)")
    listed = ", ".join(map(printable, names))
    raise OpzoError(f"'{printable(text)}' is not a class{did_you_mean(text, names)}; {numbers}, or one of {listed}")
