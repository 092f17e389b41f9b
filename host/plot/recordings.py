"""Pictures of a recorded sample: spikes and membrane potentials."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from opzo.host.api.recording import Recording
from opzo.host.data.class_names import class_text
from opzo.host.plot.canvas import axes_for
from opzo.spec.errors import OpzoError
from opzo.spec.messages import shown
from opzo.spec.values import whole_number

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_NEURONS = 6
"""Neurons whose potentials are drawn unless the user chooses others."""


def raster(
    recording: Recording, sample: int = 0, *, layers: Sequence[int] | None = None, ax: Axes | None = None
) -> Axes:
    """Draw the spikes of a sample: a mark for each, neurons upwards, the layers above each other.

    Parameters
    ----------
    recording : Recording
    sample : int
        Number of the sample in the recording.
    layers : sequence of int or None
        Hidden layers, 0 is the first one; None: all.
    ax : Axes or None
        Axes to draw in; None: those of a new figure.
    """
    _check(recording, sample)
    chosen = range(len(recording.spikes)) if layers is None else [_layer(recording, layer) for layer in layers]
    ax = axes_for(ax, (7, 5))
    begin = 0
    for layer in chosen:
        spikes = recording.spikes[layer][sample].reshape(recording.steps, -1)
        step, neuron = np.nonzero(spikes)
        # Smaller marks where there are more neurons than pixels.
        size = float(np.clip(300 / spikes.shape[1], 1.5, 8))
        ax.plot(step, begin + neuron, "|", markersize=size, label=f"hidden layer {layer + 1}")
        begin += spikes.shape[1]
        ax.axhline(begin - 0.5, color="0.8", linewidth=0.8, zorder=0)
    ax.set_xlim(-0.5, recording.steps - 0.5)
    ax.set_ylim(-0.5, begin - 0.5)
    ax.set_xlabel("time step")
    ax.set_ylabel("neuron")
    ax.set_title(_title(recording, sample))
    ax.legend(loc="upper left", bbox_to_anchor=(1, 1))
    return ax


def potentials(
    recording: Recording,
    sample: int = 0,
    *,
    layer: int = 0,
    neurons: Sequence[int] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw membrane potentials of a sample, with a dot for each spike and the threshold.

    The potentials are those after the reset, so a spike is seen by its dot and not by a crossing of the threshold.

    Parameters
    ----------
    recording : Recording
    sample : int
        Number of the sample in the recording.
    layer : int
        Hidden layer, 0 is the first one.
    neurons : sequence of int or None
        Numbers of neurons, of a convolution (channel * height + row) * width + column; None: those that spike most.
    ax : Axes or None
        Axes to draw in; None: those of a new figure.
    """
    _check(recording, sample)
    layer = _layer(recording, layer)
    v, spikes = (
        arrays[layer][sample].reshape(recording.steps, -1) for arrays in (recording.potentials, recording.spikes)
    )
    ax = axes_for(ax, (7, 4))
    steps = np.arange(recording.steps)
    for neuron in _most_active(spikes) if neurons is None else neurons:
        number = whole_number("a neuron", neuron, 0, v.shape[1] - 1)
        (line,) = ax.plot(steps, v[:, number], label=f"neuron {number}")
        fired = np.flatnonzero(spikes[:, number])
        ax.plot(fired, v[fired, number], "o", color=line.get_color())
    ax.axhline(1, color="0.5", linestyle="--", label="threshold")
    ax.set_xlabel("time step")
    ax.set_ylabel("membrane potential, in thresholds")
    ax.set_title(f"hidden layer {layer + 1}, {_title(recording, sample)}")
    ax.legend(loc="upper left", bbox_to_anchor=(1, 1))
    return ax


def _most_active(spikes: NDArray[np.bool_]) -> list[int]:
    """Numbers of the neurons that spike most, in ascending order."""
    order = np.argsort(-spikes.sum(axis=0), kind="stable")
    return sorted(order[:MOST_NEURONS].tolist())


def _title(recording: Recording, sample: int) -> str:
    predicted = class_text(int(recording.predictions[sample]), recording.class_names)
    if recording.labels is None:
        return f"sample {sample}, predicted {predicted}"
    label = class_text(int(recording.labels[sample]), recording.class_names)
    return f"sample {sample}, class {label}, predicted {predicted}"


def _check(recording: Recording, sample: int) -> None:
    if not isinstance(recording, Recording):
        raise OpzoError(f"{shown(recording)} is not a recording; give one of model.record(x)")
    whole_number("sample", sample, 0, len(recording) - 1)


def _layer(recording: Recording, layer: int) -> int:
    return whole_number("layer", layer, 0, len(recording.spikes) - 1)
