"""Paths given by users."""

from pathlib import Path

from opzo.spec.errors import OpzoError

DATA_ROOT = "--data-root DIR (in Python, root)"
"""Text for messages: how to give the folder of a data set's files."""


def expanded(text: str) -> Path:
    """Expand ``~``, which shells do not do in settings and after ``=``."""
    try:
        return Path(text).expanduser()
    except RuntimeError:
        raise OpzoError(f"there is no home folder for {text}; write the full path") from None


def absolute(text: str) -> str:
    """Absolute path of a file or folder, so that a run can be resumed from any folder; '' stays ''."""
    return str(expanded(text).absolute()) if text else ""
