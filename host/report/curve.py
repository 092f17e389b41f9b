"""Learning curve of a training run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from opzo.host.report.matplotlib_settings import picture_png
from opzo.spec.messages import printable

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

STYLE: dict[str, Any] = {"marker": ".", "clip_on": False}
"""Points on the edges of the axes would be cut off."""


def curve_png(rows: list[dict[str, Any]], title: str = "") -> bytes:
    """PNG of accuracy and firing rates over the epochs; ``rows`` are those of ``metrics.jsonl``, one or more."""

    def draw(figure: Figure) -> None:
        figure.suptitle(printable(title), fontsize=10, parse_math=False)
        draw_curves(figure, rows)

    return picture_png((8, 6), draw)


def draw_curves(figure: Figure, rows: list[dict[str, Any]]) -> None:
    """Draw accuracy and firing rates over the epochs into a figure, which may lack tests."""
    accuracy, rates = figure.subplots(2, 1, sharex=True, height_ratios=(2, 1))
    epochs = [row["epoch"] for row in rows]
    parts = [("train", "training, with noise"), ("test", "test")][: 1 + _tested(rows)]
    for part, label in parts:
        accuracy.plot(epochs, [100 * row[part]["accuracy"] for row in rows], label=label, **STYLE)
    accuracy.set_ylabel("accuracy, %")
    accuracy.legend(loc="lower right")
    accuracy.grid(alpha=0.3)
    draw_rates(rates, rows)


def draw_rates(ax: Axes, rows: list[dict[str, Any]]) -> None:
    """Draw the firing rates over the epochs, those of tests if there are any."""
    from matplotlib.ticker import MaxNLocator

    epochs = [row["epoch"] for row in rows]
    part = "test" if _tested(rows) else "train"
    highest = []
    for layer in range(len(rows[0][part]["firing_rates"])):
        values = [row[part]["firing_rates"][layer] for row in rows]
        ax.plot(epochs, values, label=f"hidden layer {layer + 1}", **STYLE)
        highest.append(max(values))
    ax.set_ylabel("firing rate")
    ax.set_xlabel("epoch")
    ax.set_xlim(epochs[0] - 0.5, epochs[-1] + 0.5)
    # Leave room above the highest rate; the axis has a height even if all layers are silent.
    ax.set_ylim(0, 1.15 * max(*highest, 1e-3))
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    ax.legend(loc="lower left", ncols=3)
    ax.grid(alpha=0.3)


def _tested(rows: list[dict[str, Any]]) -> bool:
    """Whether there were tests; metrics of earlier versions do not count their samples."""
    return any(row["test"].get("samples", 1) for row in rows)
