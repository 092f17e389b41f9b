"""Figures of runs: training dynamics, gradient variance, angle to back-propagation (paper, figures 2 and 3)."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from opzo.reference.runs.results import Summary
from opzo.host.report.matplotlib_settings import picture_png

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
"""Palette of Okabe and Ito, distinguishable by color-blind readers."""
STYLES = ("-", "--", "-.", ":")


def dynamics_png(summaries: Sequence[Summary]) -> bytes:
    """Training and test accuracy by epoch, a column for each data set and network."""
    columns = _columns(summaries)

    def draw(axes: Any) -> None:
        for column, (title, members) in enumerate(columns.items()):
            for row, part in enumerate(("train", "test")):
                for number, summary in enumerate(members):
                    _line(axes[row, column], summary, number, f"{part}_accuracy", lambda values: 100 * values)
                axes[row, column].set_ylabel(f"{'training' if part == 'train' else 'test'} accuracy, %")
            axes[0, column].set_title(title)
            axes[1, column].set_xlabel("epoch")
            axes[1, column].legend(fontsize=8)

    return _png(2, len(columns), draw)


def variance_png(summaries: Sequence[Summary]) -> bytes | None:
    """Variance of the batch gradients by epoch and layer of weights; None if no run was probed."""
    return _layers_png(summaries, "variance", "variance of batch gradients", log=True)


def relative_variance_png(summaries: Sequence[Summary]) -> bytes | None:
    """Variance relative to the squared mean gradient, by epoch and layer; None if no run was probed."""
    return _layers_png(summaries, "relative_variance", "variance / mean²", log=True)


def cosine_png(summaries: Sequence[Summary]) -> bytes | None:
    """Cosine between mean gradients and those of back-propagation; None if no run was probed."""
    return _layers_png(summaries, "cosine", "cosine to back-propagation", log=False)


def _layers_png(summaries: Sequence[Summary], name: str, label: str, *, log: bool) -> bytes | None:
    columns = _columns([summary for summary in summaries if f"{name}_1" in summary.results[0].rows[-1]])
    if not columns:
        return None
    layers = {title: _count(members[0], name) for title, members in columns.items()}

    def draw(axes: Any) -> None:
        for column, (title, members) in enumerate(columns.items()):
            for layer in range(max(layers.values())):
                plot = axes[layer, column]
                if layer >= layers[title]:
                    plot.axis("off")
                    continue
                for number, summary in enumerate(members):
                    _line(plot, summary, number, f"{name}_{layer + 1}")
                if log:
                    plot.set_yscale("log")
                plot.set_ylabel(f"layer {layer + 1}: {label}" if layer < 1 else f"layer {layer + 1}")
            axes[0, column].set_title(title)
            axes[layers[title] - 1, column].set_xlabel("epoch")
            axes[0, column].legend(fontsize=8)

    return _png(max(layers.values()), len(columns), draw)


def _columns(summaries: Sequence[Summary]) -> dict[str, list[Summary]]:
    columns: dict[str, list[Summary]] = {}
    for summary in summaries:
        columns.setdefault(f"{summary.data}, {summary.network}", []).append(summary)
    return columns


def _count(summary: Summary, name: str) -> int:
    return sum(key.rpartition("_")[0] == name for key in summary.results[0].rows[-1])


def _line(
    plot: "Axes", summary: Summary, number: int, column: str, scale: Callable[[Any], Any] = lambda values: values
) -> None:
    """Plot the mean over the seeds, up to the last epoch that all runs have."""
    epochs = min(len(result.rows) for result in summary.results)
    values = np.array([[row[column] for row in result.rows[:epochs]] for result in summary.results])
    colour, style = COLOURS[number % len(COLOURS)], STYLES[number % len(STYLES)]
    plot.plot(np.arange(1, epochs + 1), scale(values.mean(0)), style, color=colour, label=summary.method)
    plot.grid(alpha=0.3)


def _png(rows: int, columns: int, draw: Callable[[Any], None]) -> bytes:
    """Picture with rows and columns of plots, filled by ``draw``."""
    size = (5.5 * columns, 2.6 * rows)
    return picture_png(size, lambda figure: draw(figure.subplots(rows, columns, squeeze=False)), dpi=110)
