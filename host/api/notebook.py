"""Progress of a training run in a notebook: one line that is updated, and a line for each epoch below it."""

from importlib import import_module
from types import TracebackType
from typing import Any, Self

from opzo.host.training.progress import describe, upload_text
from opzo.host.training.reports import EpochProgress
from opzo.spec.network import Network


class NotebookBar:
    """Replaces ``opzo.host.training.progress.TrainingBar`` in a notebook.

    Parameters
    ----------
    network : Network
    epochs : int
    cycles : str
        Origin of the device's cycle counts, ``counted`` or ``modelled``.
    """

    def __init__(self, network: Network, epochs: int, cycles: str) -> None:
        self._network, self._epochs, self._cycles = network, epochs, cycles
        self._handle: Any = None

    def __enter__(self) -> Self:
        display: Any = import_module("IPython.display").display
        self._handle = display({"text/plain": ""}, raw=True, display_id=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Leave the line as it is."""

    def show(self, progress: EpochProgress) -> None:
        """Update the line."""
        text = (
            f"epoch {progress.epoch + 1}/{self._epochs}, {progress.position:,} of {progress.count:,} samples, "
            f"{progress.samples_per_second:,.0f}/s, {describe(progress.tally, self._network, self._cycles)}"
        )
        self._handle.update({"text/plain": text}, raw=True)

    def upload(self, done: int, total: int, seconds: float) -> None:
        """Show how far the writing of samples to the device's store has come, and when it ends."""
        self._handle.update({"text/plain": upload_text(done, total, seconds)}, raw=True)

    def log(self, message: str) -> None:
        """Print a line below."""
        print(message, flush=True)
