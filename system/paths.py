"""Paths given by users."""

from pathlib import Path

from opzo.spec.errors import OpzoError
from opzo.spec.messages import shown

DATA_ROOT = "--data-root DIR (in Python, root)"
"""Text for messages: how to give the folder of a data set's files."""


def expanded(text: str) -> Path:
    """Expand ``~``, which shells do not do in settings and after ``=``."""
    try:
        return Path(text).expanduser()
    except RuntimeError:
        raise OpzoError(f"there is no home folder for {text}; write the full path") from None


def file_path(path: str | Path, what: str) -> Path:
    """Path given to a function of the Python API, with ``~`` expanded; OpzoError, naming ``what``, for another type."""
    if not isinstance(path, str | Path):
        raise OpzoError(f"{what} must be named by a string or Path, not {shown(path)}")
    return expanded(str(path))


def absolute(text: str) -> str:
    """Absolute path of a file or folder, so that a run can be resumed from any folder; '' stays ''."""
    return str(expanded(text).absolute()) if text else ""
