"""Array types as the source writes them: ``ArrayLike`` and ``NDArray[float64]``, not the types behind these aliases.

Python replaces the aliases before autodoc sees them. Before a signature is written, each annotation with one of
them becomes its text with the alias put back.
"""

import inspect
import re
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike
from sphinx.application import Sphinx
from sphinx.util.inspect import TypeAliasForwardRef
from sphinx.util.typing import stringify_annotation

import opzo

ARRAY_LIKE = stringify_annotation(ArrayLike, "smart")
NDARRAY = re.compile(r"~numpy\.ndarray\[~?(?:builtins\.)?tuple\[~typing\.Any, \.\.\.\], ~numpy\.dtype\[(.*?)\]\]")


def name_arrays(app: Sphinx) -> None:
    """Replace the annotations of all public functions and methods that have arrays."""
    for value in [getattr(module, name) for module in (opzo, opzo.plot) for name in module.__all__]:
        for member in vars(value).values() if inspect.isclass(value) else (value,):
            function = getattr(member, "__func__", getattr(member, "fget", member))
            if inspect.isfunction(function):
                # What modules of pictures import for type checkers only.
                function.__globals__.setdefault("Axes", Axes)
                function.__globals__.setdefault("Figure", Figure)
                function.__annotations__.update(
                    {key: _written(annotation) for key, annotation in function.__annotations__.items()}
                )


def setup(app: Sphinx) -> dict[str, Any]:
    """Replace annotations before any page is read."""
    app.connect("builder-inited", name_arrays)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _written(annotation: Any) -> Any:
    text = stringify_annotation(annotation, "smart")
    short = NDARRAY.sub(r"NDArray[\1]", text.replace(ARRAY_LIKE, "ArrayLike"))
    return annotation if short == text else TypeAliasForwardRef(short)
