"""Progress of a training run: a bar on stderr and a table with a line for each epoch."""

import sys
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from opzo.host.driver.statistics import Tally
from opzo.host.report.units import compact, duration, size_text
from opzo.host.training.health import Health
from opzo.host.training.reports import EpochProgress, EpochReport
from opzo.spec.network import Network

HEADS = (
    *(("", "epoch", 5), ("", "train %", 7), ("", "test %", 6), ("test", "loss", 6), ("", "firing rates", -17)),
    *(("", "sat. %", 6), ("{cycles}", "cycles", 9), ("training", "samples/s", 9)),
)
"""Columns of the table of epochs: two lines of header, and the width, negative for left alignment.

The table fits 80 columns with three hidden layers. ``sat. %`` is the largest share in
``opzo.host.training.health.Health``. ``cycles`` are per training sample.
"""


class TrainingBar:
    """Progress bar of the current epoch; prints nothing where stderr is not a terminal.

    Parameters
    ----------
    network : Network
    epochs : int
    cycles : str
        Origin of the device's cycle counts, ``counted`` or ``modelled``.
    enabled : bool
    """

    def __init__(self, network: Network, epochs: int, cycles: str, *, enabled: bool = True) -> None:
        self._network, self._epochs, self._cycles = network, epochs, cycles
        self._console = Console(stderr=True)
        self._bar = Progress(
            TextColumn("epoch {task.fields[epoch]}/" + str(epochs)),
            BarColumn(bar_width=10),
            TextColumn("{task.fields[text]}"),
            console=self._console,
            # On a terminal, results are printed above the bar; in a pipe they must stay on stdout.
            redirect_stdout=sys.stdout.isatty(),
            disable=not (enabled and self._console.is_terminal),
        )
        self._task = self._bar.add_task("", total=None, epoch=1, text="starting")

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._bar.stop()

    def show(self, progress: EpochProgress) -> None:
        """Update the bar."""
        text = f"{progress.samples_per_second:,.0f}/s {describe(progress.tally, self._network, self._cycles)}"
        self._bar.update(
            self._task, total=progress.count, completed=progress.position, epoch=progress.epoch + 1, text=text
        )

    def upload(self, done: int, total: int, seconds: float) -> None:
        """Show how far the writing of samples to the device's store has come, and when it ends."""
        self._bar.update(self._task, total=total, completed=done, text=upload_text(done, total, seconds))

    def log(self, message: str) -> None:
        """Print a line above the bar, on stderr."""
        self._console.print(message, highlight=False, markup=False, soft_wrap=True)


def upload_text(done: int, total: int, seconds: float) -> str:
    """Bytes that are in the device's store of those that must be, and the time left after ``seconds``."""
    left = seconds * (total - done) / max(1, done)
    return f"writing samples to the device: {size_text(done)} of {size_text(total)}, {duration(left * 1e6)} left"


def describe(tally: Tally, network: Network, cycles: str) -> str:
    """Accuracy, firing rates and cycles in one line; ``cycles`` is their origin, ``counted`` or ``modelled``."""
    rates = " ".join(f"{rate:.2f}" for rate in tally.firing_rates(network))
    return f"{tally.accuracy:.1%} rates {rates} {compact(tally.cycles)} {cycles} cycles"


def table_head(cycles: str) -> str:
    """Header of the table of epochs, two lines; ``cycles`` is their origin, ``counted`` or ``modelled``."""
    words = [(upper.format(cycles=cycles), lower) for upper, lower, _ in HEADS]
    return "\n".join(_row([line[k] for line in words]) for k in range(2))


def table_row(report: EpochReport, network: Network, lanes: int) -> str:
    """Line of the table of epochs."""
    health = Health.of(report.train, network, report.rule, lanes)
    tested = report.test.samples > 0
    return _row(
        [
            str(report.epoch),
            f"{100 * report.train.accuracy:.2f}",
            f"{100 * report.test.accuracy:.2f}" if tested else "-",
            f"{report.test.loss_mean(network.steps):.3f}" if tested else "-",
            " ".join(f"{rate:.3f}" for rate in (report.test if tested else report.train).firing_rates(network)),
            f"{100 * max(health.weights, health.feedback, health.deltas):.1f}",
            f"{report.train.cycles / max(1, report.train.samples):,.0f}",
            f"{report.samples_per_second:,.0f}",
        ]
    )


def _row(cells: list[str]) -> str:
    texts = [
        cell.rjust(width) if width > 0 else cell.ljust(-width) for cell, (_, _, width) in zip(cells, HEADS, strict=True)
    ]
    return "  ".join(texts).rstrip()
