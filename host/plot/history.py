"""Pictures of training: accuracy and firing rates by epoch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from opzo.host.api.recording import Recording
from opzo.host.plot.canvas import axes_for, figure_for
from opzo.host.report.curve import draw_curves, draw_rates
from opzo.spec.errors import OpzoError
from opzo.spec.messages import shown

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def curves(history: Sequence[dict[str, Any]], *, figure: Figure | None = None) -> Figure:
    """Draw accuracy and firing rates over the epochs of a training.

    Parameters
    ----------
    history : list of dict
        What `Model.fit` returned, or the lines of a run's metrics.jsonl.
    figure : Figure or None
        Figure to draw in; None: a new one.
    """
    rows = _rows(history)
    figure = figure_for(figure, (8, 6))
    draw_curves(figure, rows)
    return figure


def firing_rates(history: Sequence[dict[str, Any]] | Recording, *, ax: Axes | None = None) -> Axes:
    """Draw spikes per neuron and time step of each hidden layer.

    Parameters
    ----------
    history : list of dict, or Recording
        What `Model.fit` returned: rates over the epochs, those of tests if there were any, else those during training.
        A recording: rates over the time steps, as the mean over its samples.
    ax : Axes or None
        Axes to draw in; None: those of a new figure.
    """
    if not isinstance(history, Recording):
        rows = _rows(history)
        ax = axes_for(ax, (7, 4))
        draw_rates(ax, rows)
        return ax
    ax = axes_for(ax, (7, 4))
    for layer, spikes in enumerate(history.spikes, 1):
        rates = spikes.mean(axis=(0, *range(2, spikes.ndim)))
        ax.plot(range(history.steps), rates, marker=".", label=f"hidden layer {layer}")
    ax.set_xlabel("time step")
    ax.set_ylabel("spikes per neuron")
    ax.set_ylim(bottom=0)
    ax.legend()
    ax.grid(alpha=0.3)
    return ax


def _rows(history: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    if isinstance(history, str | dict) or not isinstance(history, Sequence) or not history:
        raise OpzoError(f"{shown(history)} is not a history; give what model.fit returned, one dictionary per epoch")
    return list(history)
