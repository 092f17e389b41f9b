"""Array types as the source writes them: ``ArrayLike`` and ``NDArray[float64]``, not the types behind these aliases.

Python replaces the aliases before autodoc sees them. Before a signature is written, each annotation with one of
them becomes its text with the alias put back.
"""

import inspect
import re
from collections.abc import Callable
from typing import Any, get_type_hints

from numpy.typing import ArrayLike
from sphinx.application import Sphinx
from sphinx.util.inspect import TypeAliasForwardRef
from sphinx.util.typing import stringify_annotation

import opzo

ARRAY_LIKE = stringify_annotation(ArrayLike, "smart")
NDARRAY = re.compile(r"~numpy\.ndarray\[~?(?:builtins\.)?tuple\[~typing\.Any, \.\.\.\], ~numpy\.dtype\[(.*?)\]\]")


def name_arrays(app: Sphinx) -> None:
    """Replace the annotations of all public functions and methods that have arrays."""
    for name in opzo.__all__:
        value = getattr(opzo, name)
        for member in (value,) if inspect.isfunction(value) else vars(value).values():
            function = getattr(member, "__func__", getattr(member, "fget", member))
            if inspect.isfunction(function):
                function.__annotations__.update({key: _written(hint) for key, hint in _hints(function).items()})


def setup(app: Sphinx) -> dict[str, Any]:
    """Replace annotations before any page is read."""
    app.connect("builder-inited", name_arrays)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    """Annotations, which modules may postpone; as text where names are imported for type checkers only."""
    try:
        return get_type_hints(function)
    except NameError:
        return function.__annotations__


def _written(annotation: Any) -> Any:
    if isinstance(annotation, str):
        # Its names may be imported for type checkers only.
        return TypeAliasForwardRef(annotation)
    text = stringify_annotation(annotation, "smart")
    short = NDARRAY.sub(r"NDArray[\1]", text.replace(ARRAY_LIKE, "ArrayLike"))
    return annotation if short == text else TypeAliasForwardRef(short)
