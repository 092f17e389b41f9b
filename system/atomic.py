"""Files that are either the old one or the new one, whatever happens in between."""

import os
from contextlib import suppress
from pathlib import Path

from opzo.spec.errors import OpzoError
from opzo.system.durable import sync_folder


def check_output(path: Path, *, folder: bool = False, suffix: str = "") -> None:
    """Raise OpzoError where ``path`` cannot be written, before the work whose result it is to hold.

    ``folder`` says that a folder of that name is to be made or filled; ``suffix`` is how the name must end, because it
    tells later what the file is. Nothing of it is made here.
    """
    if suffix and path.suffix.lower() != suffix:
        raise OpzoError(f"cannot write {path}: give a name that ends in {suffix}, by which the file is known later")
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
            # The nearest ancestor that is there: the folders below it are made with the result.
            place = next(place for place in (path.absolute(), *path.absolute().parents) if os.path.lexists(place))
            if not place.is_dir():
                raise OpzoError(f"cannot write into {path}: {place} is a file; give the name of a folder")
        # Names that are too long fail only where they are used.
        longest = os.pathconf(place, "PC_NAME_MAX")
        names = path.absolute().relative_to(place.absolute()).parts if folder else (_temporary(path).name,)
        if any(len(os.fsencode(name)) > longest for name in names):
            raise OpzoError(f"cannot write {path}: its name is too long; give a shorter one")
        # Only an attempt tells: permissions, a read-only file system, no room.
        attempt = _temporary(place / "opzo")
        attempt.touch()
        attempt.unlink()
    except OSError as error:
        raise OpzoError(f"cannot write {path}: {error.strerror or error}; give another place") from None


def write_atomically(path: Path, data: bytes) -> None:
    """Replace ``path`` by a file of ``data``; OpzoError where that fails, and then the old file stays."""
    temporary = _temporary(path)
    try:
        if path.exists() and not path.is_file():
            # Root would put a file in the place of a device.
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
    """Name of the file that becomes ``path``."""
    return path.with_name(f".{path.name}.{os.getpid()}.tmp")


def remove_left(path: Path, *, own: bool = False) -> None:
    """Remove what killed processes left of earlier files of this name; ``own``: those with this process's number too.

    Files of its own number are of an earlier process where this one writes nothing yet.
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
    """Whether a process with this number runs."""
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass
    return True
