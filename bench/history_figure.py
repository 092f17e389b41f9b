"""Picture of bench/history.py: cycles, speeds, cells and clock by commit."""

from collections.abc import Callable
from io import BytesIO
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

Row = dict[str, Any]


def picture(rows: list[Row]) -> bytes:
    """PNG of four charts over the commits, in the order of the file."""
    figure = Figure(figsize=(12, 7), layout="constrained")
    (cycles, speeds), (cells, clocks) = figure.subplots(2, 2)
    names = [f"{row['commit'][:7]}{'*' if row.get('dirty') else ''}\n{row['date'][:10]}" for row in rows]
    draw(
        cycles,
        "cycles of a sample",
        {
            f"{network}, {kind}": field("cycles", network, kind)
            for network in rows[-1]["cycles"]
            for kind in ("train", "test")
        },
        rows,
    )
    draw(
        speeds,
        "samples in the CPU time of the fixed loop",
        {device: field("samples_per_loop", device) for device in rows[-1]["samples_per_loop"]},
        rows,
        log=True,
    )
    draw(
        cells,
        "cells of the small ECP5 chip",
        {cell: field("cells", cell) for cell in rows[-1]["cells"]},
        rows,
        log=True,
    )
    draw(clocks, "clock after place and route, MHz", {"clock": lambda row: row.get("clock_mhz")}, rows)
    if not any("clock_mhz" in row for row in rows):
        clocks.set_yticks([])
        clocks.text(0.5, 0.5, "not measured yet (--clock)", ha="center", transform=clocks.transAxes)
    for part in (cycles, speeds, cells, clocks):
        part.xaxis.set_major_locator(MaxNLocator(8, integer=True))
        shown = [int(place) for place in part.get_xticks() if 0 <= place < len(rows) and place == int(place)]
        part.set_xticks(shown, [names[place] for place in shown], fontsize="small")
        part.set_xlim(-0.5, len(rows) - 0.5)
    file = BytesIO()
    figure.savefig(file, format="png", dpi=110)
    return file.getvalue()


def field(*keys: str) -> Callable[[Row], float]:
    """Function that finds a figure of a row, by the keys that lead to it."""

    def find(row: Row) -> float:
        value: Any = row
        for key in keys:
            value = value[key]
        return float(value)

    return find


def draw(
    part: Axes, title: str, figures: dict[str, Callable[[Row], float | None]], rows: list[Row], *, log: bool = False
) -> None:
    """Draw figures of all rows, a point each, joined; rows without one are left out."""
    if log:
        part.set_yscale("log")
    for name, find in figures.items():
        points = [(number, value) for number, row in enumerate(rows) if (value := find(row)) is not None]
        part.plot([number for number, _ in points], [value for _, value in points], "o-", label=name)
    part.set_title(title)
    part.grid(alpha=0.3)
    if not log:
        part.set_ylim(bottom=0)
    if len(figures) > 1:
        part.legend(fontsize="small")
