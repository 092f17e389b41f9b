"""What a user sees of a training run: a progress bar on stderr and a line for each epoch."""

import sys
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from opzo.host.health import Health
from opzo.host.statistics import Tally
from opzo.host.trainer import EpochReport
from opzo.host.trainer import Progress as Standing
from opzo.spec.network import Network

TABLE_HEAD = "epoch  train %   test %  test loss  firing rates     saturated w M d %  cycles/sample  samples/s"


class TrainingBar:
    """Progress bar of the running epoch; silent where stderr is no terminal.

    Parameters
    ----------
    network : Network
    epochs : int
    clock : float
        Clock in MHz for which to say how long the counted cycles take.
    enabled : bool
    """

    def __init__(self, network: Network, epochs: int, clock: float, *, enabled: bool = True) -> None:
        self._network, self._epochs, self._clock = network, epochs, clock
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
        text = f"{speed:,.0f}/s {describe(standing.tally, self._network, self._clock)}"
        self._bar.update(
            self._task, total=standing.count, completed=standing.position, epoch=standing.epoch + 1, text=text
        )

    def tell(self, message: str) -> None:
        """Say something above the bar, on stderr."""
        self._console.print(message, highlight=False, markup=False, soft_wrap=True)


def describe(tally: Tally, network: Network, clock: float) -> str:
    """Accuracy, firing rates, cycles and their time at ``clock`` MHz."""
    rates = " ".join(f"{rate:.2f}" for rate in tally.firing_rates(network))
    cycles = tally.cycles
    return f"{tally.accuracy:.1%} rates {rates} {compact(cycles)} cycles={duration(cycles / clock)}@{clock:g} MHz"


def compact(count: int) -> str:
    """A count in at most five characters."""
    for unit, size in (("G", 10**9), ("M", 10**6), ("k", 10**3)):
        if count >= size:
            return f"{count / size:.3g}{unit}" if count < 1000 * size else f"{count // size}{unit}"
    return str(count)


def duration(microseconds: float) -> str:
    """A time in a handy unit."""
    for unit, size in (("min", 60e6), ("s", 1e6), ("ms", 1e3)):
        if microseconds >= size:
            return f"{microseconds / size:.3g} {unit}"
    return f"{microseconds:.3g} us"


def table_row(report: EpochReport, network: Network, lanes: int) -> str:
    """Line of an epoch below TABLE_HEAD."""
    health = Health.of(report.train, network, report.rule, lanes)
    saturated = " ".join(f"{share:.1%}"[:-1] for share in (health.weights, health.feedback, health.deltas))
    rates = " ".join(f"{rate:.3f}" for rate in report.test.firing_rates(network))
    cycles = report.train.cycles / max(1, report.train.samples)
    return (
        f"{report.epoch:5d}  {100 * report.train.accuracy:7.2f}  {100 * report.test.accuracy:7.2f}"
        f"  {report.test.loss_mean(network.steps):9.3f}  {rates:15s}  {saturated:>17s}  {cycles:13,.0f}"
        f"  {report.samples_per_second:9,.0f}"
    )
