"""What a user sees of a training run: a progress bar on stderr and a line for each epoch."""

import sys
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from opzo.host.driver.statistics import Tally
from opzo.host.report.units import compact
from opzo.host.training.health import Health
from opzo.host.training.trainer import EpochReport
from opzo.host.training.trainer import Progress as Standing
from opzo.spec.network import Network

HEADS = (
    *(("", "epoch", 5), ("", "train %", 7), ("", "test %", 6), ("test", "loss", 6), ("", "firing rates", -17)),
    *(("", "sat. %", 6), ("{cycles}", "cycles", 9), ("training", "samples/s", 9)),
)
"""Columns of the table of epochs: two lines of head, and the width, negative where it is flush left.

All fit a terminal of 80 columns, with three hidden layers. ``sat. %`` is the largest of the shares in
``opzo.host.training.health.Health``; cycles are those of a training sample.
"""


class TrainingBar:
    """Progress bar of the running epoch; silent where stderr is no terminal.

    Parameters
    ----------
    network : Network
    epochs : int
    cycles : str
        Where the device's figures of cycles come from.
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
            # Results on a terminal must not tear the bar; results into a pipe must stay there.
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

    def show(self, standing: Standing) -> None:
        """Update the bar."""
        speed = standing.done / max(1e-9, standing.seconds)
        text = f"{speed:,.0f}/s {describe(standing.tally, self._network, self._cycles)}"
        self._bar.update(
            self._task, total=standing.count, completed=standing.position, epoch=standing.epoch + 1, text=text
        )

    def tell(self, message: str) -> None:
        """Say something above the bar, on stderr."""
        self._console.print(message, highlight=False, markup=False, soft_wrap=True)


def describe(tally: Tally, network: Network, cycles: str) -> str:
    """Accuracy, firing rates and cycles, which are ``cycles`` (counted or modelled)."""
    rates = " ".join(f"{rate:.2f}" for rate in tally.firing_rates(network))
    return f"{tally.accuracy:.1%} rates {rates} {compact(tally.cycles)} {cycles} cycles"


def table_head(cycles: str) -> str:
    """Head of the table of epochs, two lines; ``cycles`` says whether the device counts cycles or models them."""
    words = [(upper.format(cycles=cycles), lower) for upper, lower, _ in HEADS]
    return "\n".join(_row([line[k] for line in words]) for k in range(2))


def table_row(report: EpochReport, network: Network, lanes: int) -> str:
    """Line of an epoch below `table_head`."""
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
