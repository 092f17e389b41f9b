"""The folder of a training run: configuration, metrics, checkpoint, figures, learning curve."""

import hashlib
import json
import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from opzo.host.report.curve import curve_png
from opzo.host.report.pictures import write_picture
from opzo.host.training.checkpoint import Checkpoint
from opzo.host.training.config import Config, read_toml
from opzo.host.training.old_names import stored_renamed
from opzo.spec.errors import OpzoError
from opzo.system.atomic import write_atomically
from opzo.system.folder_lock import locked, make_folder, remove_leftovers, unique_folder

CHECKPOINT = "checkpoint.npz"
CONFIG = "config.toml"
METRICS = "metrics.jsonl"
FIGURES = "figures.json"
CURVE = "learning-curve.png"
RESULTS = (CHECKPOINT, METRICS, FIGURES)
"""Files of which any says that the folder holds a run."""
NAME_MAX = 120
"""Characters of a folder's name that is made of settings."""


class RunFolder:
    """A run folder; every file in it is always complete.

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
        for name in RESULTS:
            if (path / name).exists():
                raise OpzoError(f"{path} holds {name} of another run; give another --out")

    @classmethod
    def unique(cls, path: Path) -> "RunFolder":
        """A folder that this process alone has made: ``path``, or with a number behind the name."""
        return cls(unique_folder(path))

    @classmethod
    def create(cls, path: Path, config: Config) -> "RunFolder":
        """Begin a run in a folder that is locked, or used by nobody else; OpzoError where it holds one."""
        make_folder(path)
        cls.check_free(path)
        folder = cls(path)
        folder._write(CONFIG, config.toml())
        return folder

    @classmethod
    def reopen(cls, path: Path) -> tuple["RunFolder", Checkpoint]:
        """Folder of an earlier run and its checkpoint; metrics behind the checkpoint are dropped."""
        checkpoint = Checkpoint.load(checkpoint_path(path))
        folder = cls(path)
        metrics = path / METRICS
        try:
            lines = metrics.read_text(encoding="utf-8").splitlines() if metrics.exists() else []
            rows = [json.loads(line) for line in lines]
            folder.rows = [row for row in rows if row["epoch"] <= checkpoint.epoch]
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise OpzoError(f"cannot read {metrics}: {error}; remove it to go on without it") from None
        if len(folder.rows) < len(rows):
            folder._write_rows()
        return folder, checkpoint

    def check_rows(self, figures: dict[str, Any]) -> None:
        """Raise OpzoError where the metrics of an epoch are not like ``figures``, name by name."""
        for line, row in enumerate(self.rows, 1):
            follows = row["epoch"] == self.rows[0]["epoch"] + line - 1
            if not follows or not all(_like(row.get(part), figures) for part in ("train", "test")):
                raise OpzoError(
                    f"line {line} of {self.path / METRICS} is damaged, or not the metrics of an epoch of this network; "
                    "remove the file to go on without it"
                )

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Keep other processes out of the folder, which is made where it is missing; OpzoError where one is in it."""
        with locked(self.path, f"another process trains in {self.path}; wait for it, or stop it"):
            remove_leftovers(self.path, (*RESULTS, CONFIG, CURVE))
            yield

    def settings(self) -> dict[str, Any]:
        """Settings that the run began with; OpzoError where its file of them cannot be read."""
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
        """Final figures; None where there are none that can be read."""
        try:
            figures = json.loads((self.path / FIGURES).read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError):
            return None
        return figures if isinstance(figures, dict) else None

    def write_figures(self, figures: dict[str, Any]) -> None:
        """Write the final figures."""
        self._write(FIGURES, json.dumps(figures, indent=2) + "\n")

    def write_curve(self, title: str = "") -> None:
        """Draw the learning curve; a warning where that fails, for the run is complete without it."""
        write_picture(self.path / CURVE, lambda: curve_png(self.rows, title))

    def _write_rows(self) -> None:
        self._write(METRICS, "".join(json.dumps(row) + "\n" for row in self.rows))

    def _write(self, name: str, text: str) -> None:
        # Bytes of a path that are not text stay as they are; `read_toml` takes them.
        write_atomically(self.path / name, text.encode(errors="surrogateescape"))


def _like(value: Any, model: Any) -> bool:
    """Whether a value of a JSON file has the names, lengths and types of ``model``."""
    if isinstance(model, dict):
        return isinstance(value, dict) and all(key in value and _like(value[key], model[key]) for key in model)
    if isinstance(model, list):
        return isinstance(value, list) and len(value) == len(model) and all(map(_like, value, model))
    if isinstance(model, str):
        return isinstance(value, str)
    return type(value) in (int, float) and math.isfinite(value)


def folder_name(text: str) -> str:
    """Name of a folder for a text: itself where every file system takes it, else a similar one with a check sum.

    Different texts have different names, on file systems too that do not tell upper case from lower case.
    """
    name = re.sub(r"[^a-z0-9._,=+-]", "_", text.lower())[:NAME_MAX]
    if name == text and name.strip("."):
        return name
    return f"{name[: NAME_MAX - 9]}-{hashlib.sha256(text.encode(errors='surrogatepass')).hexdigest()[:8]}"


def checkpoint_path(path: Path) -> Path:
    """Checkpoint of a run folder, or the file itself."""
    return path / CHECKPOINT if path.is_dir() else path


def run_path(path: Path) -> Path:
    """Folder of a run that is named by it or by its checkpoint; OpzoError where there is none."""
    if path.name == CHECKPOINT and path.is_file():
        return path.parent
    if not path.exists():
        raise OpzoError(f"there is no file {path}; give a run folder of opzo train")
    if not path.is_dir():
        raise OpzoError(f"{path} is a file; give the run folder of opzo train")
    return path
