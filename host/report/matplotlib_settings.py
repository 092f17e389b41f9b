"""Pictures that look the same whatever matplotlib settings a user has."""

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
    """Picture of ``size`` inches as PNG; ``draw`` fills it, with matplotlib's defaults in the place of the user's.

    OpzoError where matplotlib fails.
    """
    try:
        return _drawn(size, draw, dpi)
    except Exception as error:
        raise OpzoError(
            f"cannot draw a picture: {error or repr(error)}; is matplotlib installed completely?"
        ) from error


def _drawn(size: tuple[float, float], draw: "Callable[[Figure], None]", dpi: int) -> bytes:
    style = _style()
    # Loaded only here: it takes longer than all else that a short command does.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    file = BytesIO()
    with style.context("default", after_reset=False):
        figure = Figure(figsize=size, layout="constrained")
        # Not pyplot, which would open windows, nor its backend, which may be a notebook's.
        FigureCanvasAgg(figure)
        draw(figure)
        figure.savefig(file, format="png", dpi=dpi)
    return file.getvalue()


def _style() -> Any:
    """Styles of matplotlib; where the user's settings cannot be loaded, it is loaded without them."""
    try:
        from matplotlib import style
    except ImportError:
        raise
    except Exception:
        # Such as a backend in $MPLBACKEND that a notebook has and this Python has not. What was loaded is incomplete.
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
