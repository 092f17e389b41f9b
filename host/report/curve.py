"""Learning curve of a training run."""

from typing import Any

from opzo.host.report.matplotlib_settings import picture_png
from opzo.spec.messages import printable


def curve_png(rows: list[dict[str, Any]], title: str = "") -> bytes:
    """PNG of accuracy and firing rates over the epochs; ``rows`` are those of ``metrics.jsonl``, one or more."""

    def draw(figure: Any) -> None:
        from matplotlib.ticker import MaxNLocator

        figure.suptitle(printable(title), fontsize=10, parse_math=False)
        accuracy, rates = figure.subplots(2, 1, sharex=True, height_ratios=(2, 1))
        epochs = [row["epoch"] for row in rows]
        # Points on the edges of the axes would be cut off.
        style = {"marker": ".", "clip_on": False}
        for part, label in (("train", "training, with noise"), ("test", "test")):
            accuracy.plot(epochs, [100 * row[part]["accuracy"] for row in rows], label=label, **style)
        accuracy.set_ylabel("accuracy, %")
        accuracy.legend(loc="lower right")
        accuracy.grid(alpha=0.3)
        highest = []
        for layer in range(len(rows[0]["test"]["firing_rates"])):
            values = [row["test"]["firing_rates"][layer] for row in rows]
            rates.plot(epochs, values, label=f"hidden layer {layer + 1}", **style)
            highest.append(max(values))
        rates.set_ylabel("firing rate")
        rates.set_xlabel("epoch")
        rates.set_xlim(epochs[0] - 0.5, epochs[-1] + 0.5)
        # Leave room above the highest rate; the axis has a height even if all layers are silent.
        rates.set_ylim(0, 1.15 * max(*highest, 1e-3))
        rates.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        rates.legend(loc="lower left", ncols=3)
        rates.grid(alpha=0.3)

    return picture_png((8, 6), draw)
