"""Axes and figures to draw in: those of the user, or new ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def axes_for(ax: Axes | None, size: tuple[float, float]) -> Axes:
    """Axes of the user, or those of a new figure of ``size`` inches."""
    return figure_for(None, size).add_subplot() if ax is None else ax


def figure_for(figure: Figure | None, size: tuple[float, float]) -> Figure:
    """Figure of the user, or a new one of ``size`` inches, which a notebook shows by itself."""
    if figure is not None:
        return figure
    # Imported here because it takes longer than the rest of opzo, and is not needed with a figure of the user.
    from matplotlib import pyplot

    return pyplot.figure(figsize=size, layout="constrained")
