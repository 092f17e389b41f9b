"""Folders that one process at a time works in: made in one step, locked, cleaned of what killed processes left."""

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

LOCK = ".lock"
"""Locked instead of the folder where a file system locks only what is open for writing, as NFS does."""


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
        if made:
            # Only where nothing was written.
            with contextlib.suppress(OSError):
                path.rmdir()
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


def unique_folder(path: Path) -> Path:
    """Make a folder that was missing: ``path``, or with a number behind the name. No other process gets the same."""
    make_folder(path.parent)
    for number in count(1):
        numbered = path if number == 1 else path.with_name(f"{path.name}-{number}")
        try:
            # Fails where another process was first; looking whether it exists would not.
            numbered.mkdir()
        except FileExistsError:
            continue
        except OSError as error:
            raise _cannot_make(numbered, error) from None
        return numbered
    raise AssertionError


def _cannot_make(path: Path, error: OSError) -> OpzoError:
    return OpzoError(f"cannot make the folder {path}: {error.strerror}; give another --out")


def remove_leftovers(path: Path, names: tuple[str, ...]) -> None:
    """Remove what processes that were killed left of writing files of these names; only with the folder's lock."""
    with contextlib.suppress(OSError):
        for name in names:
            remove_left(path / name, own=True)
