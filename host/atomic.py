"""Files that are either the old one or the new one, whatever happens in between."""

import contextlib
import os
from pathlib import Path

from opzo.spec.errors import OpzoError


def write_atomically(path: Path, data: bytes) -> None:
    """Replace ``path`` by a file of ``data``; OpzoError where that fails, and then the old file stays."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        _sync_folder(path.parent)
    except OSError as error:
        raise OpzoError(f"cannot write {path}: {error.strerror or error}; what was saved before is whole") from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


def _sync_folder(folder: Path) -> None:
    """Make the new name last through a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
