"""Picture of a training run."""

from io import BytesIO
from typing import Any


def curve_png(rows: list[dict[str, Any]]) -> bytes:
    """Accuracy and firing rates over the epochs of ``metrics.jsonl``, one or more, as a PNG picture."""
    # Loaded only here: it takes longer than all else that a short command does.
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(8, 6), layout="constrained")
    accuracy, rates = figure.subplots(2, 1, sharex=True, height_ratios=(2, 1))
    epochs = [row["epoch"] for row in rows]
    for part, label in (("train", "training, with noise"), ("test", "test")):
        accuracy.plot(epochs, [100 * row[part]["accuracy"] for row in rows], marker=".", label=label)
    accuracy.set_ylabel("accuracy, %")
    accuracy.legend(loc="lower right")
    accuracy.grid(alpha=0.3)
    for layer in range(len(rows[0]["test"]["firing_rates"])):
        values = [row["test"]["firing_rates"][layer] for row in rows]
        rates.plot(epochs, values, marker=".", label=f"hidden layer {layer + 1}")
    rates.set_ylabel("spikes a neuron and step")
    rates.set_xlabel("epoch")
    rates.set_ylim(bottom=0)
    rates.xaxis.set_major_locator(MaxNLocator(integer=True))
    rates.legend(loc="lower left", ncols=3)
    rates.grid(alpha=0.3)
    file = BytesIO()
    figure.savefig(file, format="png", dpi=120)
    return file.getvalue()
