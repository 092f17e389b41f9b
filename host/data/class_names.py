"""Class names: read from files and checked, looked up for the user, and printed next to the class number."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from opzo.spec.errors import OpzoError
from opzo.spec.messages import did_you_mean, printable

Names = tuple[str, ...]
"""Class names in order of label; empty if unknown."""
CLASSES = "classes"
"""Name of the array of class names in a data file."""
CLASSES_MAX = 64
"""Maximum number of classes of a chip."""
NAME_MAX = 255
"""Maximum length of a class name in characters, which is that of a folder name."""


def names_of_array(array: NDArray[Any], what: str, count: range) -> Names:
    """Class names in an array of a file; ValueError, naming it ``what``, unless it is a list of ``count`` names."""
    expected = f"{count[0]}" if len(count) == 1 else f"{count[0]} to {count[-1]}"
    if array.ndim != 1 or array.dtype.kind != "U" or len(array) not in count:
        raise ValueError(f"{what} has type {array.dtype} and shape {array.shape}; expected a list of {expected} names")
    names = tuple(map(str, array.tolist()))
    for label, name in enumerate(names):
        if not 1 <= len(name) <= NAME_MAX:
            raise ValueError(f"{what}: the name of class {label} has {len(name)} characters, not 1 to {NAME_MAX}")
    return names


def names_of_data(arrays: Mapping[str, NDArray[Any]], path: Path, remedy: str) -> Names:
    """Class names in the array CLASSES of a data file, () without one; OpzoError, ending in ``remedy``, if invalid."""
    if CLASSES not in arrays:
        return ()
    try:
        return names_of_array(arrays[CLASSES], CLASSES, range(1, CLASSES_MAX + 1))
    except ValueError as error:
        raise OpzoError(f"{path}: {error}; {remedy}") from None


def padded(names: Names, classes: int) -> Names:
    """Names for all ``classes`` of a network; classes that the data lack are named by number. Empty stays empty."""
    return (*names, *map(str, range(len(names), classes)))[:classes] if names else ()


def class_text(label: int, names: Sequence[str]) -> str:
    """Text for a class: its number, followed by its name unless that is the same."""
    if label >= len(names) or names[label] == str(label):
        return str(label)
    return f"{label} ({printable(names[label])})"


def other_names(network: Names, data: Names) -> str:
    """Warning text if the class names of the data differ from those of the network, else ''."""
    for label, (learned, given) in enumerate(zip(network, data, strict=False)):
        if learned != given:
            return (
                f"class {label} is {printable(learned)} in the network but {printable(given)} in the data; the figures "
                "are meaningful only if the labels mean the same"
            )
    return ""


def find_class(text: str, names: Sequence[str], classes: int) -> int:
    """Class number for a name or number given by the user; OpzoError, listing the classes, if there is no such one."""
    if text in names:
        return names.index(text)
    if text.isascii() and text.isdecimal() and int(text[:9]) < classes and len(text) < 9:
        return int(text)
    numbers = f"give a number in 0..{classes - 1}"
    if not names:
        raise OpzoError(f"'{printable(text)}' is not a class; {numbers} (the network has no class names)")
    listed = ", ".join(map(printable, names))
    raise OpzoError(f"'{printable(text)}' is not a class{did_you_mean(text, names)}; {numbers}, or one of {listed}")
