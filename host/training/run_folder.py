"""Folder of a training run: configuration, metrics, checkpoint, figures, learning curve."""

import hashlib
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from opzo.host.report.curve import curve_png
from opzo.host.report.metrics_table import csv_text, flat
from opzo.host.report.pictures import write_picture
from opzo.host.training.checkpoint import Checkpoint
from opzo.host.training.config import Config, read_toml
from opzo.host.training.old_names import stored_renamed
from opzo.spec.errors import OpzoError
from opzo.spec.values import is_finite
from opzo.system.atomic import write_atomically
from opzo.system.folder_lock import locked, make_folder, remove_leftovers, unique_folder
from opzo.system.text_files import encoded

CHECKPOINT = "checkpoint.npz"
CONFIG = "config.toml"
METRICS = "metrics.jsonl"
METRICS_TABLE = "metrics.csv"
FIGURES = "figures.json"
CURVE = "learning-curve.png"
RESULTS = (CHECKPOINT, METRICS, FIGURES)
"""Files that mark a folder as that of a run."""
NAME_MAX = 120
"""Maximum length of a folder name made of settings."""


class RunFolder:
    """A run folder. Every file in it is written completely or not at all.

    Attributes
    ----------
    path : Path
    rows : list of dict
        Metrics of the completed epochs, the lines of ``metrics.jsonl``; ``metrics.csv`` has the same as a table.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows: list[dict[str, Any]] = []

    @staticmethod
    def check_free(path: Path) -> None:
        """Raise OpzoError where ``path`` already holds a run."""
        if (path / CHECKPOINT).exists():
            raise OpzoError(f"{path} already holds a run; resume it with --resume {path}, or give another --out")
        for name in RESULTS:
            if (path / name).exists():
                raise OpzoError(f"{path} holds {name} of another run; give another --out")

    @classmethod
    def unique(cls, path: Path) -> "RunFolder":
        """A new folder, created by this process alone: ``path``, or with a number after its name."""
        return cls(unique_folder(path))

    @classmethod
    def create(cls, path: Path, config: Config) -> "RunFolder":
        """Start a run in a folder that the caller has locked; OpzoError where it already holds one."""
        make_folder(path)
        cls.check_free(path)
        folder = cls(path)
        folder._write(CONFIG, config.toml())
        return folder

    @classmethod
    def read(cls, path: Path) -> tuple["RunFolder", Checkpoint]:
        """Folder and checkpoint of an earlier run, with the metrics of the epochs of the checkpoint. Writes nothing."""
        checkpoint = Checkpoint.load(checkpoint_path(path))
        folder = cls(path)
        folder.rows = [row for row in folder._stored_rows() if row["epoch"] <= checkpoint.epoch]
        return folder, checkpoint

    @classmethod
    def reopen(cls, path: Path) -> tuple["RunFolder", Checkpoint]:
        """Folder and checkpoint of an earlier run; metrics of epochs after the checkpoint are dropped."""
        folder, checkpoint = cls.read(path)
        if len(folder.rows) < len(folder._stored_rows()):
            folder._write_rows()
        return folder, checkpoint

    def check_rows(self, figures: dict[str, Any]) -> None:
        """Raise OpzoError where the metrics of an epoch do not have the names and types of ``figures``."""
        for line, row in enumerate(self.rows, 1):
            follows = row["epoch"] == self.rows[0]["epoch"] + line - 1
            if not follows or not all(_like(row.get(part), figures) for part in ("train", "test")):
                raise OpzoError(
                    f"line {line} of {self.path / METRICS} is damaged or from another network; "
                    "remove the file to resume without it"
                )

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Lock the folder, which is created if missing; OpzoError where another process has locked it."""
        with locked(self.path, f"another process is training in {self.path}; wait for it or stop it"):
            remove_leftovers(self.path, (*RESULTS, CONFIG, CURVE, METRICS_TABLE))
            yield

    def settings(self) -> dict[str, Any]:
        """Settings that the run was started with; OpzoError where their file cannot be read."""
        path = self.path / CONFIG
        return stored_renamed(read_toml(path), str(path))

    def add_row(self, row: dict[str, Any]) -> None:
        """Append the metrics of an epoch."""
        self.rows.append(row)
        self._write_rows()

    def save(self, checkpoint: Checkpoint) -> None:
        """Replace the checkpoint."""
        checkpoint.save(self.path / CHECKPOINT)

    def figures(self) -> dict[str, Any] | None:
        """Final figures; None if there are none or they cannot be read."""
        try:
            figures = json.loads((self.path / FIGURES).read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError):
            return None
        return figures if isinstance(figures, dict) else None

    def write_figures(self, figures: dict[str, Any]) -> None:
        """Write the final figures."""
        self._write(FIGURES, json.dumps(figures, indent=2) + "\n")

    def write_curve(self, title: str = "") -> None:
        """Draw the learning curve; logs a warning where that fails, because the run is complete without it."""
        write_picture(self.path / CURVE, lambda: curve_png(self.rows, title))

    def _stored_rows(self) -> list[dict[str, Any]]:
        """Metrics of all epochs in the file; OpzoError where it cannot be read."""
        metrics = self.path / METRICS
        try:
            lines = metrics.read_text(encoding="utf-8").splitlines() if metrics.exists() else []
            rows = [json.loads(line) for line in lines]
            if not all(type(row["epoch"]) is int for row in rows):
                raise ValueError("an epoch is not a number")
            return rows
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise OpzoError(f"cannot read {metrics}: {error}; remove it to resume without it") from None

    def _write_rows(self) -> None:
        self._write(METRICS, "".join(json.dumps(row) + "\n" for row in self.rows))
        self._write(METRICS_TABLE, csv_text([flat(row, "_") for row in self.rows]))

    def _write(self, name: str, text: str) -> None:
        # Bytes of a path that are not UTF-8 are kept; `read_toml` accepts them.
        write_atomically(self.path / name, encoded(text))


def _like(value: Any, model: Any) -> bool:
    """Whether a JSON value has the names, lengths and types of ``model``."""
    if isinstance(model, dict):
        return isinstance(value, dict) and all(key in value and _like(value[key], model[key]) for key in model)
    if isinstance(model, list):
        return isinstance(value, list) and len(value) == len(model) and all(map(_like, value, model))
    if isinstance(model, str):
        return isinstance(value, str)
    return type(value) in (int, float) and is_finite(value)


def folder_name(text: str) -> str:
    """Folder name for a text: the text itself if every file system accepts it, else a similar name with a check sum.

    Different texts have different names, also on file systems that ignore case.
    """
    name = re.sub(r"[^a-z0-9._,=+-]", "_", text.lower())[:NAME_MAX]
    if name == text and name.strip("."):
        return name
    return f"{name[: NAME_MAX - 9]}-{hashlib.sha256(text.encode(errors='surrogatepass')).hexdigest()[:8]}"


def checkpoint_path(path: Path) -> Path:
    """Checkpoint in a run folder, or ``path`` itself if it is a file."""
    return path / CHECKPOINT if path.is_dir() else path


def run_path(path: Path) -> Path:
    """Run folder for the path of the folder or of its checkpoint; OpzoError where there is none."""
    if path.name == CHECKPOINT and path.is_file():
        return path.parent
    if not path.exists():
        raise OpzoError(f"there is no folder {path}; give a run folder of opzo train")
    if not path.is_dir():
        raise OpzoError(f"{path} is a file; give the run folder of opzo train")
    return path
