"""Atomic file writes: after a failure or crash the file is either the old or the new one."""

import os
from contextlib import suppress
from pathlib import Path

from opzo.spec.errors import OpzoError
from opzo.system.durable import sync_folder


def check_output(path: Path, *, folder: bool = False, suffix: str = "") -> None:
    """Raise OpzoError if ``path`` cannot be written; called before the work whose result it gets.

    With ``folder``, ``path`` is a folder to create or fill. ``suffix`` is the required suffix, by which the file's type
    is recognized later. Creates nothing.
    """
    if suffix and path.suffix.lower() != suffix:
        raise OpzoError(
            f"cannot write {path}: give a name that ends in {suffix}, by which the file type is recognized later"
        )
    try:
        if not folder:
            if path.is_dir():
                raise OpzoError(f"cannot write {path}: it is a folder; give the name of a file")
            if not path.parent.is_dir():
                raise OpzoError(f"cannot write {path}: there is no folder {path.parent}; make it, or give another name")
            if path.exists() and not path.is_file():
                raise OpzoError(f"cannot write {path}: it is a device or a pipe; give the name of a file")
            place = path.parent
        else:
            # The nearest existing ancestor: the folders below it are created with the result.
            place = next(place for place in (path.absolute(), *path.absolute().parents) if os.path.lexists(place))
            if not place.is_dir():
                raise OpzoError(f"cannot write into {path}: {place} is a file; give the name of a folder")
        # Otherwise a name that is too long would fail only when the file is written.
        longest = os.pathconf(place, "PC_NAME_MAX")
        names = path.absolute().relative_to(place.absolute()).parts if folder else (_temporary(path).name,)
        if any(len(os.fsencode(name)) > longest for name in names):
            raise OpzoError(f"cannot write {path}: its name is too long; give a shorter one")
        # Only an attempt detects missing permissions, a read-only file system or a full disk.
        attempt = _temporary(place / "opzo")
        attempt.touch()
        attempt.unlink()
    except OSError as error:
        raise OpzoError(f"cannot write {path}: {error.strerror or error}; give another place") from None


def write_atomically(path: Path, data: bytes) -> None:
    """Replace ``path`` by a file with ``data``; on failure raise OpzoError and keep the old file."""
    temporary = _temporary(path)
    try:
        if path.exists() and not path.is_file():
            # As root this would replace a device by a file.
            raise OpzoError(f"cannot write {path}: it is not a file; give another name")
        remove_left(path)
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        kept = "; what was saved before is complete" if os.path.isfile(path) else "; give another place"
        raise OpzoError(f"cannot write {path}: {error.strerror or error}{kept}") from error
    finally:
        with suppress(OSError):
            temporary.unlink()


def _temporary(path: Path) -> Path:
    """Temporary name of the file that will replace ``path``."""
    return path.with_name(f".{path.name}.{os.getpid()}.tmp")


def remove_left(path: Path, *, own: bool = False) -> None:
    """Remove temporary files of killed processes for this name; with ``own`` also those with this process's number.

    Files with its own number are from an earlier process if this one has not written yet.
    """
    begin, end = f".{path.name}.", ".tmp"
    for left in path.parent.iterdir():
        number = left.name.removeprefix(begin).removesuffix(end)
        if left.name != begin + number + end or not number.isdecimal():
            continue
        if (own and int(number) == os.getpid()) or not _alive(int(number)):
            with suppress(OSError):
                left.unlink()


def _alive(process: int) -> bool:
    """Whether a process with this number is running."""
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass
    return True
