"""Folders used by one process at a time: creation, locking, and removal of leftovers of killed processes."""

import contextlib
import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

from opzo.spec.errors import OpzoError
from opzo.system.atomic import remove_left
from opzo.system.durable import sync_folder

LOCK = ".lock"
"""File locked instead of the folder on file systems that lock only files open for writing, such as NFS."""


@contextmanager
def locked(path: Path, taken: str) -> Iterator[None]:
    """Hold the lock of a folder, created if missing; OpzoError with the text ``taken`` if another process has it.

    Nothing may be written to the folder without the lock. The system releases it when the process ends in any way.
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
            f"cannot lock {path}: {error.strerror}; its file system does not support locks: "
            "give a folder on another file system, such as a local disk"
        ) from None
    try:
        # The previous holder may have moved the folder; the locked folder must still be the one at this path.
        if not _same(descriptor, place):
            raise OpzoError(taken)
        yield
    finally:
        if made:
            # Fails, as intended, if anything was written.
            with contextlib.suppress(OSError):
                path.rmdir()
        os.close(descriptor)


def _lock(path: Path) -> tuple[int, Path]:
    """Lock a folder without waiting; return the descriptor and path of what is locked."""
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
    """Create a folder and its parents; return whether it was missing. OpzoError if that fails.

    They are brought to the disk: files that are saved in them later would be lost with them in a power failure.
    """
    try:
        if path.is_dir():
            return False
        missing = [place for place in (path, *path.parents) if not place.exists()]
        path.mkdir(parents=True, exist_ok=True)
        for place in missing:
            sync_folder(place.parent)
    except OSError as error:
        raise _cannot_make(path, error) from None
    return True


def unique_folder(path: Path) -> Path:
    """Create a new folder: ``path``, with a number appended if it exists. No other process gets the same folder."""
    make_folder(path.parent)
    for number in count(1):
        numbered = path if number == 1 else path.with_name(f"{path.name}-{number}")
        try:
            # Unlike a check for existence, this fails if another process was faster.
            numbered.mkdir()
            sync_folder(numbered.parent)
        except FileExistsError:
            continue
        except OSError as error:
            raise _cannot_make(numbered, error) from None
        return numbered
    raise AssertionError


def _cannot_make(path: Path, error: OSError) -> OpzoError:
    return OpzoError(f"cannot make the folder {path}: {error.strerror}; give another --out")


def remove_leftovers(path: Path, names: tuple[str, ...]) -> None:
    """Remove temporary files of these names that killed processes left; needs the folder's lock."""
    with contextlib.suppress(OSError):
        for name in names:
            remove_left(path / name, own=True)
