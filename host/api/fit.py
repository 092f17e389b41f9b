"""What a user of the Python API sees of a call of fit: progress, a line for each epoch, warnings."""

from types import TracebackType
from typing import Any, Self

from opzo.host.api.notebook import NotebookBar
from opzo.host.api.verbosity import in_notebook
from opzo.host.driver.statistics import cycles_are
from opzo.host.training.health import Once
from opzo.host.training.progress import TrainingBar, table_head, table_row
from opzo.host.training.trainer import EpochReport, Progress, Trainer, Watcher
from opzo.system.interrupt import Interrupt


class FitReport(Watcher):
    """Tells the user what the trainer reports, where ``shown``, and keeps it.

    Attributes
    ----------
    rows : list of dict
        Metrics of the completed epochs.
    interrupt : Interrupt or None
        What asks to stop.
    """

    def __init__(self, trainer: Trainer, *, shown: bool) -> None:
        self.rows: list[dict[str, Any]] = []
        self.interrupt: Interrupt | None = None
        self._trainer, self._shown = trainer, shown
        self._warnings = Once()
        network, epochs = trainer.network, trainer.hyper.epochs
        self._cycles = cycles_are(trainer.device.identity)
        self._bar: NotebookBar | TrainingBar
        if shown and in_notebook():
            self._bar = NotebookBar(network, epochs, self._cycles)
        else:
            self._bar = TrainingBar(network, epochs, self._cycles, enabled=shown)

    def __enter__(self) -> Self:
        self._bar.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._bar.__exit__(kind, error, traceback)

    def stopping(self) -> None:
        """Answer the first Ctrl-C."""
        self._tell("opzo: stopping after this sample; Ctrl-C again quits at once")

    def stop(self) -> bool:
        return self.interrupt is not None and self.interrupt.requested

    def progress(self, progress: Progress) -> None:
        if self._shown:
            self._bar.show(progress)
        self._warn(progress)

    def epoch(self, report: EpochReport) -> None:
        trainer = self._trainer
        if not self.rows:
            self._tell(table_head(self._cycles))
        self.rows.append(report.row(trainer.network, trainer.device.identity))
        self._tell(table_row(report, trainer.network, trainer.device.limits.lanes))
        self._warn(report)

    def _warn(self, standing: Progress | EpochReport) -> None:
        """Tell, once each, what is wrong with the training."""
        trainer = self._trainer
        found = standing.warnings(trainer.network, trainer.hyper, trainer.device.limits.lanes)
        for text in self._warnings.new(found):
            # Hyper-parameters are no options here.
            self._tell(f"opzo: {text.replace('--', '')}")

    def _tell(self, message: str) -> None:
        if self._shown:
            self._bar.tell(message)
