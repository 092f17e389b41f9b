"""Checks whether other users can change files that opzo runs or trusts."""

import grp
import os
import pwd
import stat
from functools import cache
from pathlib import Path

from opzo.spec.errors import OpzoError

REMEDY = "set OPZO_CACHE to a folder of your own"


def check_folder(folder: Path) -> None:
    """Raise OpzoError if another user can add files to ``folder`` or replace it.

    The folder and its parents must belong to this user or root, and others must not have write permission. A folder
    with the sticky bit, such as ``/tmp``, is accepted; only entries that pass `check_entry` can be trusted in it.
    Parents of opzo's own folder are trusted like opzo itself.
    """
    for place in (folder, *folder.parents):
        if place.is_symlink():
            _check_owner(place, place.lstat())
    real = Path(os.path.realpath(folder))
    if real.stat().st_mode & stat.S_ISVTX:
        _check_owner(real, real.stat())
    else:
        _check(real, real.stat())
    for place in real.parents:
        if place in Path(__file__).resolve().parents:
            return
        status = place.stat()
        _check_owner(place, status)
        shared = status.st_mode & 0o022 and not status.st_mode & stat.S_ISVTX
        if shared and (status.st_mode & 0o002 or not _private(status.st_uid, status.st_gid)):
            raise _refusal(place)


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
    _check_owner(path, status)
    if status.st_mode & 0o022:
        raise _refusal(path)


def _check_owner(path: Path, status: os.stat_result) -> None:
    if status.st_uid not in (os.geteuid(), 0):
        raise OpzoError(
            f"{path} belongs to another user ({_name(status.st_uid)}); opzo would run what they put there; {REMEDY}"
        )


def _refusal(path: Path) -> OpzoError:
    return OpzoError(
        f"other users can write in {path}, and opzo would run what they put there; chmod go-w {path}, or {REMEDY}"
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
