"""Results of a sweep as a table that fits a terminal."""

from collections.abc import Sequence
from textwrap import wrap
from typing import Any

from opzo.spec.messages import printable

GAP = "  "
VALUE_WIDTH = 24
"""Maximum width of a swept value; a longer one, usually a path, is cut at the front."""
ACCURACIES = ("mean", "median", "min", "max")
CAPTION = "test accuracy over the seeds; medians of {cycles} cycles per training sample and of firing rates"


def sweep_table(merged: list[dict[str, Any]], keys: Sequence[str], width: int) -> list[str]:
    """Rows of `sweep.groups` below a caption and a header; columns that do not fit are left out."""
    named = [(key, [_short(printable(row[key])) for row in merged]) for key in keys]
    names = {"mean": "test_accuracy_mean", "median": "test_accuracy"}
    figures = [("runs", [str(row["runs"]) for row in merged])]
    for name in ACCURACIES:
        key = names.get(name, f"test_accuracy_{name}")
        figures.append((name, [f"{row[key]:.2%}" for row in merged]))
    figures.append(("cycles", [f"{row['cycles_per_train_sample']:,.0f}" for row in merged]))
    figures.append(("firing rates", [_rates(row) for row in merged]))
    # The mean is kept, however wide the swept values are.
    while len(figures) > 2 and _width(named + figures) > width:
        figures.pop()
    columns = named + figures
    widths = [_column(*column) for column in columns]
    heads = [head for head, _ in columns]
    lines = zip(*(cells for _, cells in columns), strict=True)
    rows = [GAP.join(cell.rjust(size) for cell, size in zip(line, widths, strict=True)) for line in (heads, *lines)]
    return [*wrap(CAPTION.format(cycles=_cycles(merged)), max(20, width)), *rows]


def _cycles(merged: list[dict[str, Any]]) -> str:
    return "/".join(sorted({str(row.get("cycles", "")) for row in merged}))


def _rates(row: dict[str, Any]) -> str:
    return " ".join(f"{value:.3f}" for key, value in row.items() if key.startswith("firing_rate_"))


def _short(text: str) -> str:
    return text if len(text) <= VALUE_WIDTH else "..." + text[3 - VALUE_WIDTH :]


def _column(head: str, cells: list[str]) -> int:
    return max(map(len, (head, *cells)))


def _width(columns: list[tuple[str, list[str]]]) -> int:
    return sum(_column(*column) for column in columns) + len(GAP) * (len(columns) - 1)
