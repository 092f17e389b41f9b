"""Checks whether other users can change files that opzo runs or trusts."""

import grp
import os
import pwd
import shlex
import stat
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

from opzo.spec.errors import OpzoError

REMEDY = "set OPZO_CACHE to a folder of your own"
OWN = frozenset(Path(__file__).resolve().parents)
"""Folders that lead to opzo itself."""


def check_folder(folder: Path) -> None:
    """Raise OpzoError if another user can add files to ``folder`` or replace it.

    The folder, its parents and the links that lead to it must belong to this user or root, and others must not have
    write permission. A folder with the sticky bit, such as ``/tmp``, is accepted; only entries that pass `check_entry`
    can be trusted in it. Parents may also be shared with a group that has no other member, and parents of opzo's own
    folder are trusted like opzo itself.
    """
    real = _follow(folder, REMEDY)
    status = real.stat()
    _check_owner(real, status, REMEDY)
    if not status.st_mode & stat.S_ISVTX:
        _check(real, status)
    _check_way(real.parents, REMEDY)


def check_tree(folder: Path, remedy: str) -> None:
    """Raise OpzoError, with ``remedy``, if another user can change code that another program stores in ``folder``.

    As `check_folder`, for everything in the folder too. That program sets the modes, so a group that has no other
    member may write; the sticky bit does not help, because that program does not check whose files it loads.
    """
    real = _follow(folder, remedy)
    _check_way(real.parents, remedy)
    inner = (Path(parent, name) for parent, folders, files in os.walk(real) for name in (*folders, *files))
    for place in (real, *inner):
        try:
            status = place.lstat()
        except FileNotFoundError:
            # The program replaces its files.
            continue
        _check_owner(place, status, remedy)
        if not stat.S_ISLNK(status.st_mode) and _shared(status):
            raise _refusal(place, status, remedy)


def _follow(folder: Path, remedy: str) -> Path:
    """Where ``folder`` is, after a check of the links that lead there; OSError if it is missing."""
    real = Path(os.path.realpath(folder, strict=True))
    for link in _links(folder):
        _check_owner(link, link.lstat(), remedy)
        place = Path(os.path.realpath(link.parent))
        _check_way((place, *place.parents), remedy)
    return real


def _links(path: Path) -> Iterator[Path]:
    """Links on the way to ``path``, and those on the way to where they lead."""
    for place in (path, *path.parents):
        if place.is_symlink():
            yield place
            yield from _links(place.parent / place.readlink())


def _check_way(folders: Iterable[Path], remedy: str) -> None:
    """Check a folder and its parents, which only lead to trusted files."""
    for place in folders:
        if place in OWN:
            return
        status = place.stat()
        _check_owner(place, status, remedy)
        if _shared(status) and not status.st_mode & stat.S_ISVTX:
            raise _refusal(place, status, remedy)


def _shared(status: os.stat_result) -> bool:
    """Whether others than the owner have write permission, apart from a group without other members."""
    if not status.st_mode & 0o022:
        return False
    return bool(status.st_mode & 0o002) or not _private(status.st_uid, status.st_gid)


def check_entry(path: Path, kind: int) -> None:
    """Raise OpzoError if ``path`` is not of ``kind`` (``stat.S_IFREG``, ``S_IFDIR``) or others can change it."""
    check_status(path, path.lstat(), kind)


def check_status(path: Path, status: os.stat_result, kind: int) -> None:
    """As `check_entry`, for a file with a known status."""
    if stat.S_IFMT(status.st_mode) != kind:
        what = "folder" if kind == stat.S_IFDIR else "file"
        raise OpzoError(f"{path} is not a {what}, which opzo expects; remove it, or {REMEDY}")
    _check(path, status)


def _check(path: Path, status: os.stat_result) -> None:
    _check_owner(path, status, REMEDY)
    if status.st_mode & 0o022:
        raise _refusal(path, status, REMEDY)


def _check_owner(path: Path, status: os.stat_result, remedy: str) -> None:
    if status.st_uid not in (os.geteuid(), 0):
        raise OpzoError(
            f"{path} belongs to another user ({_name(status.st_uid)}); opzo would run what they put there; {remedy}"
        )


def _refusal(path: Path, status: os.stat_result, remedy: str) -> OpzoError:
    # Only the owner can change the mode, and a folder with the sticky bit is shared on purpose.
    own = status.st_uid == os.geteuid() and not status.st_mode & stat.S_ISVTX
    return OpzoError(
        f"other users can write in {path}, and opzo would run what they put there; "
        f"{f'chmod go-w {shlex.quote(str(path))}, or ' if own else ''}{remedy}"
    )


@cache
def _private(uid: int, gid: int) -> bool:
    """Whether the user is the only member of the group, as on systems with a group per user."""
    try:
        group, user = grp.getgrgid(gid), pwd.getpwuid(uid).pw_name
    except KeyError:
        return False
    return group.gr_name == user and set(group.gr_mem) <= {user}


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
