"""Settings that were renamed: in files and in Python their old names still work in this version, with a notice."""

import functools
import logging
import warnings
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from opzo.spec.errors import OpzoError
from opzo.spec.messages import printable

logger = logging.getLogger(__name__)
T = TypeVar("T")

NEW_NAMES = {"leak": "feedback_leak"}
"""Old name of a setting to its name now. Under an old name the value is a number: a text is that of another setting,
``leak`` of the neurons."""
OLD_NAMES = {new: old for old, new in NEW_NAMES.items()}


def renamed(values: Mapping[str, Any], source: str) -> dict[str, Any]:
    """``values`` that a user wrote to the file ``source``, under their names now; logs a notice for each old name."""
    return _renamed(
        values, source, lambda old: logger.warning("note: %s in %s", notice(old, NEW_NAMES[old]), printable(source))
    )


def stored_renamed(values: Mapping[str, Any], source: str) -> dict[str, Any]:
    """``values`` that an earlier version wrote to ``source``, under their names now; without a notice."""
    return _renamed(values, source, lambda old: None)


def renamed_arguments(values: Mapping[str, Any], call: str, level: int) -> dict[str, Any]:
    """Keyword arguments of ``call`` under their names now; a DeprecationWarning for each old name.

    ``level`` is the ``stacklevel`` of the warning as the caller of this function would give it.
    """
    return _renamed(values, call, lambda old: _warn(old, level + 4))


def accepts_old_names(cls: type[T]) -> type[T]:
    """Class decorator: the constructor takes the old names too, and attributes can be read by them."""
    construct: Callable[..., None] = cls.__init__

    @functools.wraps(construct)
    def construct_renamed(self: T, *args: Any, **values: Any) -> None:
        construct(self, *args, **renamed_arguments(values, cls.__name__, 2))

    def read_old_name(self: T, name: str) -> Any:
        # Python calls it only for attributes that do not exist.
        if name not in NEW_NAMES:
            raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'")
        _warn(name, 3)
        return getattr(self, NEW_NAMES[name])

    for method, function in (("__init__", construct_renamed), ("__getattr__", read_old_name)):
        setattr(cls, method, function)
    return cls


def notice(old: str, new: str) -> str:
    """Notice for the use of an old name."""
    return f"{old} is now {new}; the old name works in this version only"


def _warn(old: str, level: int) -> None:
    warnings.warn(notice(old, NEW_NAMES[old]), DeprecationWarning, level)


def _renamed(values: Mapping[str, Any], source: str, found: Callable[[str], None]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for key, value in values.items():
        # A sweep has a list of values.
        first = value[0] if isinstance(value, list) and value else value
        new = key if isinstance(first, str) else NEW_NAMES.get(key, key)
        if new != key:
            if new in values:
                raise OpzoError(f"{printable(source)} has both {new} and its old name {key}; remove {key}")
            found(key)
        result[new] = value
    return result
