"""Metrics of epochs for TensorBoard, written by the library tensorboardX if it is installed."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from opzo.host.report.metrics_table import flat
from opzo.spec.errors import OpzoError
from opzo.system.atomic import check_output


def check_tensorboard(folder: Path) -> None:
    """Raise OpzoError if the library is missing or ``folder`` cannot be written."""
    _library()
    check_output(folder, folder=True)


class TensorBoard:
    """Event file of a run in ``folder``; the global step is the epoch, counted from 1.

    Tags are the names in a row of ``metrics.jsonl``, joined by ``/``: ``test/accuracy``. ``rows`` are those of earlier
    epochs of the run.
    """

    def __init__(self, folder: Path, rows: Sequence[Mapping[str, Any]]) -> None:
        self._writer = _library().SummaryWriter(str(folder))
        for row in rows:
            self.add(row)

    def add(self, row: Mapping[str, Any]) -> None:
        """Write the numbers of an epoch, and flush them."""
        for tag, value in flat(row, "/").items():
            if tag != "epoch" and isinstance(value, int | float):
                self._writer.add_scalar(tag, value, row["epoch"])
        self._writer.flush()

    def close(self) -> None:
        """Close the file."""
        self._writer.close()


def _library() -> Any:
    try:
        import tensorboardX
    except ModuleNotFoundError:
        raise OpzoError(
            "--tensorboard needs the package tensorboardX; install it with: pip install 'opzo[tensorboard]', or use "
            "metrics.csv in the run folder"
        ) from None
    return tensorboardX
