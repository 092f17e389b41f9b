"""Pictures that do not depend on the matplotlib settings of the user."""

import os
import sys
from collections.abc import Callable
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from opzo.spec.errors import OpzoError

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def picture_png(size: tuple[float, float], draw: "Callable[[Figure], None]", dpi: int = 120) -> bytes:
    """PNG of a picture of ``size`` inches that ``draw`` fills, with the default settings of matplotlib.

    Raises OpzoError where matplotlib fails.
    """
    return _drawn(size, draw, {"format": "png", "dpi": dpi})


def picture_svg(size: tuple[float, float], draw: "Callable[[Figure], None]") -> bytes:
    """SVG of a picture, as `picture_png`; its text stays text, and it is the same each time."""
    return _drawn(size, draw, {"format": "svg", "metadata": {"Date": None}})


def _drawn(size: tuple[float, float], draw: "Callable[[Figure], None]", file: dict[str, Any]) -> bytes:
    try:
        return _saved(size, draw, file)
    except Exception as error:
        raise OpzoError(
            f"cannot draw a picture: {error or repr(error)}; install matplotlib again, it may be incomplete"
        ) from error


def _saved(size: tuple[float, float], draw: "Callable[[Figure], None]", options: dict[str, Any]) -> bytes:
    style = _style()
    # Imported here because it takes longer than the rest of a short command.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    file = BytesIO()
    own: list[Any] = ["default", {"svg.fonttype": "none", "svg.hashsalt": "opzo"}]
    with style.context(own, after_reset=False):
        figure = Figure(figsize=size, layout="constrained")
        # Without pyplot, which opens windows and may use the backend of a notebook.
        FigureCanvasAgg(figure)
        draw(figure)
        figure.savefig(file, **options)
    return file.getvalue()


def _style() -> Any:
    """Module of matplotlib's styles, imported without the user's settings where these cannot be loaded."""
    try:
        from matplotlib import style
    except ImportError:
        raise
    except Exception:
        # For example $MPLBACKEND names a backend of a notebook. What was imported so far is incomplete.
        for name in [name for name in sys.modules if name.partition(".")[0] == "matplotlib"]:
            del sys.modules[name]
        before = dict(os.environ)
        os.environ.pop("MPLBACKEND", None)
        spec = find_spec("matplotlib")
        assert spec is not None
        assert spec.origin is not None
        os.environ["MATPLOTLIBRC"] = str(Path(spec.origin).parent / "mpl-data" / "matplotlibrc")
        try:
            from matplotlib import style
        finally:
            os.environ.clear()
            os.environ.update(before)
    return style
