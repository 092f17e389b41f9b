"""Report of a call of `Model.fit`: progress, a line for each epoch, warnings."""

import time
from types import TracebackType
from typing import Any, Self

from opzo.host.api.notebook import NotebookBar
from opzo.host.driver.statistics import cycles_are
from opzo.host.report.verbosity import in_notebook
from opzo.host.training.health import NewWarnings
from opzo.host.training.progress import TrainingBar, table_head, table_row
from opzo.host.training.reports import EpochProgress, EpochReport, Watcher
from opzo.host.training.trainer import Trainer
from opzo.system.interrupt import Interrupt


class FitReport(Watcher):
    """Keeps the metrics of a training and, where ``shown``, prints its progress.

    Attributes
    ----------
    rows : list of dict
        Metrics of the completed epochs.
    interrupt : Interrupt or None
        Stops the training when requested.
    """

    def __init__(self, trainer: Trainer, *, shown: bool) -> None:
        self.rows: list[dict[str, Any]] = []
        self.interrupt: Interrupt | None = None
        self._trainer, self._shown = trainer, shown
        self._warnings = NewWarnings()
        self._begin = time.monotonic()
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
        """Respond to the first Ctrl-C."""
        self._log("opzo: stopping after this sample; press Ctrl-C again to quit now")

    def stop(self) -> bool:
        return self.interrupt is not None and self.interrupt.requested

    def note(self, text: str) -> None:
        self._log(f"opzo: {text}")

    def uploading(self, done: int, total: int) -> None:
        if self._shown:
            self._bar.upload(done, total, time.monotonic() - self._begin)

    def progress(self, progress: EpochProgress) -> None:
        if self._shown:
            self._bar.show(progress)
        self._warn(progress)

    def epoch(self, report: EpochReport) -> None:
        trainer = self._trainer
        if not self.rows:
            self._log(table_head(self._cycles))
        self.rows.append(report.row(trainer.network, trainer.device.identity))
        self._log(table_row(report, trainer.network, trainer.device.limits.lanes))
        self._warn(report)

    def _warn(self, report: EpochProgress | EpochReport) -> None:
        """Log each kind of warning the first time that it occurs."""
        trainer = self._trainer
        found = report.warnings(trainer.network, trainer.hyper, trainer.device.limits.lanes)
        for text in self._warnings.of(found):
            # Hyper-parameters are not options in Python.
            self._log(f"opzo: {text.replace('--', '').replace('feedback-leak', 'feedback_leak')}")

    def _log(self, message: str) -> None:
        if self._shown:
            self._bar.log(message)
