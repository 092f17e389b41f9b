"""Names of files and folders as users write them."""

from pathlib import Path

from opzo.spec.errors import OpzoError

DATA_ROOT = "--data-root DIR (in Python, root)"
"""How to name the folder of a data set's files."""


def expanded(text: str) -> Path:
    """Path with ``~`` for the home folder, which shells leave in settings and behind ``=``."""
    try:
        return Path(text).expanduser()
    except RuntimeError:
        raise OpzoError(f"there is no home folder for {text}; write its whole path") from None


def absolute(text: str) -> str:
    """Absolute path of a file or folder, so that a run can be resumed from any folder; '' stays ''."""
    return str(expanded(text).absolute()) if text else ""
