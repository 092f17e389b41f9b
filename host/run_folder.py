"""The folder of a training run: configuration, metrics, checkpoint, figures, learning curve."""

import fcntl
import json
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from opzo.host.atomic import write_atomically
from opzo.host.checkpoint import Checkpoint
from opzo.host.config import Config
from opzo.host.curve import curve_png
from opzo.spec.errors import OpzoError
from opzo.spec.messages import printable

logger = logging.getLogger(__name__)

CHECKPOINT = "checkpoint.npz"
CONFIG = "config.toml"
FIGURES = "figures.json"


class RunFolder:
    """A run folder; every file in it is always whole.

    Attributes
    ----------
    path : Path
    rows : list of dict
        Metrics of the completed epochs, the lines of ``metrics.jsonl``.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows: list[dict[str, Any]] = []

    @staticmethod
    def check_free(path: Path) -> None:
        """Raise OpzoError where ``path`` holds a run already."""
        if (path / CHECKPOINT).exists():
            raise OpzoError(f"{path} holds a run already; go on with --resume {path}, or give another --out")

    @classmethod
    def create(cls, path: Path, config: Config) -> "RunFolder":
        """A new run's folder; OpzoError where it cannot be, or holds a run already."""
        cls.check_free(path)
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OpzoError(f"cannot make the folder {path}: {error.strerror}; give another --out") from None
        folder = cls(path)
        folder._write(CONFIG, config.toml())
        return folder

    @classmethod
    def reopen(cls, path: Path) -> tuple["RunFolder", Checkpoint]:
        """Folder of an earlier run and its checkpoint; metrics behind the checkpoint are dropped."""
        checkpoint = Checkpoint.load(checkpoint_path(path))
        folder = cls(path)
        metrics = path / "metrics.jsonl"
        try:
            lines = metrics.read_text().splitlines() if metrics.exists() else []
            rows = [json.loads(line) for line in lines]
            folder.rows = [row for row in rows if row["epoch"] <= checkpoint.epoch]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise OpzoError(f"cannot read {metrics}: {error}; remove it to go on without it") from None
        return folder, checkpoint

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Keep other processes out of the folder meanwhile; OpzoError where one is at work in it."""
        folder = os.open(self.path, os.O_RDONLY)
        try:
            try:
                fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise OpzoError(f"another process trains in {self.path}; wait for it, or stop it") from None
            yield
        finally:
            os.close(folder)

    def add_row(self, row: dict[str, Any]) -> None:
        """Append the metrics of an epoch."""
        self.rows.append(row)
        self._write("metrics.jsonl", "".join(json.dumps(row) + "\n" for row in self.rows))

    def save(self, checkpoint: Checkpoint) -> None:
        """Replace the checkpoint."""
        checkpoint.save(self.path / CHECKPOINT)

    def write_figures(self, figures: dict[str, Any]) -> None:
        """Write the final figures."""
        self._write(FIGURES, json.dumps(figures, indent=2) + "\n")

    def write_curve(self, title: str = "") -> None:
        """Draw the learning curve; a warning where that fails, for the run is complete without it."""
        try:
            write_atomically(self.path / "learning-curve.png", curve_png(self.rows, title))
        except OpzoError as error:
            logger.warning("warning: there is no learning curve: %s", " ".join(printable(error).split()))

    def _write(self, name: str, text: str) -> None:
        # Bytes of a path that are not text stay as they are; `read_toml` takes them.
        write_atomically(self.path / name, text.encode(errors="surrogateescape"))


def checkpoint_path(path: Path) -> Path:
    """Checkpoint of a run folder, or the file itself."""
    return path / CHECKPOINT if path.is_dir() else path
