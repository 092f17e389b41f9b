"""The folder of a training run: configuration, metrics, checkpoint, figures, learning curve."""

import contextlib
import errno
import fcntl
import hashlib
import json
import logging
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
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
METRICS = "metrics.jsonl"
FIGURES = "figures.json"
CURVE = "learning-curve.png"
RESULTS = (CHECKPOINT, METRICS, FIGURES)
"""Files of which any says that the folder holds a run."""
LOCK = ".lock"
"""Locked instead of the folder where a file system locks only what is open for writing, as NFS does."""
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
        make_folder(path.parent)
        for number in count(1):
            numbered = path if number == 1 else path.with_name(f"{path.name}-{number}")
            try:
                # Two processes never make the same one, whatever else they see.
                numbered.mkdir()
            except FileExistsError:
                continue
            except OSError as error:
                raise _cannot_make(numbered, error) from None
            return cls(numbered)
        raise AssertionError

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

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Keep other processes out of the folder, which is made where it is missing; OpzoError where one is in it."""
        with locked(self.path, f"another process trains in {self.path}; wait for it, or stop it"):
            remove_leftovers(self.path, (*RESULTS, CONFIG, CURVE))
            yield

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
        try:
            write_atomically(self.path / CURVE, curve_png(self.rows, title))
        except OpzoError as error:
            logger.warning("warning: there is no learning curve: %s", " ".join(printable(error).split()))

    def _write_rows(self) -> None:
        self._write(METRICS, "".join(json.dumps(row) + "\n" for row in self.rows))

    def _write(self, name: str, text: str) -> None:
        # Bytes of a path that are not text stay as they are; `read_toml` takes them.
        write_atomically(self.path / name, text.encode(errors="surrogateescape"))


@contextmanager
def locked(path: Path, taken: str) -> Iterator[None]:
    """Hold the lock of a folder, which is made where it is missing; OpzoError ``taken`` where another process has it.

    Nothing may be written into the folder without it. It ends with the process, however that ends.
    """
    made = make_folder(path)
    try:
        descriptor, place = _lock(path)
    except BlockingIOError:
        raise OpzoError(taken) from None
    except OSError as error:
        if made:
            with contextlib.suppress(OSError):
                path.rmdir()
        raise OpzoError(
            f"cannot lock {path}: {error.strerror}; its file system cannot keep two processes apart: "
            "give a folder on another one, such as a local disk"
        ) from None
    try:
        # The holder before may have moved the folder away; what is locked now must be what the path names.
        if not _same(descriptor, place):
            raise OpzoError(taken)
        yield
    finally:
        os.close(descriptor)


def _lock(path: Path) -> tuple[int, Path]:
    """Lock a folder, without waiting; what was opened for it, and its name."""
    for place, flags in ((path, os.O_RDONLY | os.O_DIRECTORY), (path / LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW)):
        descriptor = os.open(place, flags, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(descriptor)
            if error.errno != errno.EBADF or place != path:
                raise
        else:
            return descriptor, place
    raise AssertionError


def _same(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except OSError:
        return False


def make_folder(path: Path) -> bool:
    """Make a folder and those above it; whether it was missing. OpzoError where it cannot be."""
    try:
        if path.is_dir():
            return False
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _cannot_make(path, error) from None
    return True


def _cannot_make(path: Path, error: OSError) -> OpzoError:
    return OpzoError(f"cannot make the folder {path}: {error.strerror}; give another --out")


def remove_leftovers(path: Path, names: tuple[str, ...]) -> None:
    """Remove what processes that were killed left of writing files of these names; only with the folder's lock."""
    pattern = re.compile(rf"\.({'|'.join(map(re.escape, names))})\.(\d{{1,10}})\.tmp")
    with contextlib.suppress(OSError):
        for entry in list(path.iterdir()):
            found = pattern.fullmatch(entry.name)
            # This process writes nothing yet: a file with its number is of an earlier one.
            if found and (int(found[2]) == os.getpid() or not _alive(int(found[2]))):
                with contextlib.suppress(OSError):
                    entry.unlink()


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:
        pass
    return True


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
