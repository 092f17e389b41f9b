"""Files that are either the old one or the new one, whatever happens in between."""

import contextlib
import os
from pathlib import Path

from opzo.spec.errors import OpzoError


def check_output(path: Path, *, folder: bool = False) -> None:
    """Raise OpzoError where ``path`` cannot be written, before the work whose result it is to hold.

    ``folder`` says that a folder of that name is to be made or filled. Nothing is written or made here.
    """
    try:
        if not folder:
            if path.is_dir():
                raise OpzoError(f"cannot write {path}: it is a folder; give the name of a file")
            if not path.parent.is_dir():
                raise OpzoError(f"cannot write {path}: there is no folder {path.parent}; make it, or give another name")
            place = path.parent
        else:
            # The nearest ancestor that is there: the folders below it are made with the result.
            place = next(place for place in (path, *path.absolute().parents) if place.exists())
            if not place.is_dir():
                raise OpzoError(f"cannot write into {path}: {place} is a file; give the name of a folder")
        # Names that are too long fail only where they are used.
        longest = os.pathconf(place, "PC_NAME_MAX")
        if len(os.fsencode(path.name)) + len(_temporary(path).name) - len(path.name) > longest:
            raise OpzoError(f"cannot write {path}: its name is too long; give a shorter one")
    except OSError as error:
        raise OpzoError(f"cannot write {path}: {error.strerror or error}; give another name") from None
    if not os.access(place, os.W_OK | os.X_OK):
        raise OpzoError(f"cannot write {path}: no permission to write in {place}; give another place")


def write_atomically(path: Path, data: bytes) -> None:
    """Replace ``path`` by a file of ``data``; OpzoError where that fails, and then the old file stays."""
    temporary = _temporary(path)
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


def _temporary(path: Path) -> Path:
    """Name of the file that becomes ``path``."""
    return path.with_name(f".{path.name}.{os.getpid()}.tmp")


def _sync_folder(folder: Path) -> None:
    """Make the new name last through a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
