"""What a notebook shows of a training run: one line that is kept up to date, and a line for each epoch below it."""

from importlib import import_module
from types import TracebackType
from typing import Any, Self

from opzo.host.training.progress import describe
from opzo.host.training.trainer import Progress
from opzo.spec.network import Network


class NotebookBar:
    """Stands in for ``opzo.host.training.progress.TrainingBar`` where there is no terminal but a notebook.

    Parameters
    ----------
    network : Network
    epochs : int
    cycles : str
        Where the device's figures of cycles come from.
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
        """What the line said last stays."""

    def show(self, standing: Progress) -> None:
        """Update the line."""
        speed = standing.done / max(1e-9, standing.seconds)
        text = (
            f"epoch {standing.epoch + 1}/{self._epochs}, {standing.position:,} of {standing.count:,} samples, "
            f"{speed:,.0f}/s, {describe(standing.tally, self._network, self._cycles)}"
        )
        self._handle.update({"text/plain": text}, raw=True)

    def tell(self, message: str) -> None:
        """Say something below the line."""
        print(message, flush=True)
