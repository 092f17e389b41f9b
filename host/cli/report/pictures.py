"""Pictures of a report, as addresses of their data: the file needs no other."""

from base64 import b64encode
from collections.abc import Mapping, Sequence
from textwrap import fill
from typing import TYPE_CHECKING, Any

from opzo.host.cli.report.facts import RunFacts
from opzo.host.data.images.frames import Frames
from opzo.host.plot.classes import confusion
from opzo.host.plot.recordings import raster
from opzo.host.plot.weights import weights
from opzo.host.report.curve import draw_curves
from opzo.host.report.matplotlib_settings import picture_png, picture_svg

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DPI = 100
RASTER_WIDTH, RASTER_HEIGHT = 2.2, 3.0
"""Inches of the raster of a sample."""
TITLE_COLUMNS = 28
"""Characters that fit above it."""


def curves_picture(facts: RunFacts) -> str:
    """Accuracy and firing rates over the epochs, of which there is at least one."""
    return _svg(picture_svg((6.4, 4.6), lambda figure: draw_curves(figure, facts.folder.rows)))


def comparison_picture(runs: Mapping[str, Sequence[dict[str, Any]]]) -> str:
    """Test accuracy over the epochs, from the metrics of several runs by name."""

    def draw(figure: "Figure") -> None:
        from matplotlib.ticker import MaxNLocator

        ax = figure.add_subplot()
        for name, rows in runs.items():
            accuracies = [100 * row["test"]["accuracy"] for row in rows]
            ax.plot([row["epoch"] for row in rows], accuracies, marker=".", label=name)
        ax.set_xlabel("epoch")
        ax.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        ax.set_ylabel("test accuracy, %")
        ax.grid(alpha=0.3)
        for text in ax.legend().get_texts():
            text.set_parse_math(False)

    return _svg(picture_svg((9, 4), draw))


def confusion_picture(facts: RunFacts) -> str:
    """Test samples by class and predicted class."""
    side = min(12.0, max(4.5, 0.42 * len(facts.classes) + 1.4))

    def draw(figure: "Figure") -> None:
        confusion(facts.confusion, names=facts.classes, ax=figure.add_subplot())

    return _svg(picture_svg((side, side), draw))


def raster_pictures(facts: RunFacts, count: int) -> list[str]:
    """Spikes of each of the first ``count`` test samples, below its image where it has one."""
    samples = facts.samples[:count]
    recording = facts.model.record(samples)
    shown = isinstance(samples, Frames) and samples.shape is not None

    def picture(sample: int) -> str:
        def draw(figure: "Figure") -> None:
            heights = (1.2, RASTER_HEIGHT) if shown else (RASTER_HEIGHT,)
            *above, ax = figure.subplots(len(heights), 1, squeeze=False, height_ratios=heights)[:, 0]
            for image in above:
                _draw_image(image, samples, sample)
            raster(recording, sample, ax=ax)
            # The text of the page explains the colours.
            ax.get_legend().remove()
            _, _, title = ax.get_title().partition(", ")
            ax.set_title(fill(title, TITLE_COLUMNS), fontsize=8, parse_math=False)

        return _png(picture_png((RASTER_WIDTH, RASTER_HEIGHT + 1.4 * shown), draw, dpi=DPI))

    return [picture(sample) for sample in range(len(samples))]


def _draw_image(ax: "Axes", frames: object, sample: int) -> None:
    assert isinstance(frames, Frames)
    planes = frames.planes(frames.x[sample : sample + 1])[0]
    # Several channels lie side by side.
    ax.imshow(planes.transpose(1, 0, 2).reshape(planes.shape[1], -1), cmap="gray", vmin=0, vmax=255)
    ax.set_axis_off()


def weights_pictures(facts: RunFacts) -> list[str]:
    """Receptive fields of the first layer, or kernels of each convolution."""
    network, shape = facts.model.network, None
    # Kernels are few or flat.
    height = 3.6 if network.convolutions else 6.4
    if isinstance(facts.samples, Frames) and not network.convolutions:
        shape = facts.samples.shape

    def picture(layer: int) -> str:
        def draw(figure: "Figure") -> None:
            weights(facts.model, layer, shape=shape, figure=figure)

        return _png(picture_png((6.4, height), draw, dpi=DPI))

    return [picture(layer) for layer in range(max(1, len(network.convolutions)))]


def _svg(picture: bytes) -> str:
    return f"data:image/svg+xml;base64,{b64encode(picture).decode()}"


def _png(picture: bytes) -> str:
    return f"data:image/png;base64,{b64encode(picture).decode()}"
