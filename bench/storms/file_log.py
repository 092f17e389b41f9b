"""A log of what a process does to the files below a folder, in the order in which it does it."""

import os
import stat
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

Event = tuple[str, str, bytes | str]
"""What is done, to which path below the folder, and with what.

``create`` or ``remove`` a file, ``content`` of a file as it is now, ``sync`` a file or folder to the disk, ``rename``
to another path, ``mkdir``, ``rmdir``.
"""
WRITES = os.O_WRONLY | os.O_RDWR


class FileLog:
    """Log of this process, from `begin` to its end: audit hooks cannot be removed.

    Contents are read when something else happens next, so a write through an open file is seen in full, not in steps.

    Parameters
    ----------
    root : Path
        Folder to watch.

    Attributes
    ----------
    events : list of Event
    """

    def __init__(self, root: Path) -> None:
        self._root = root.resolve()
        self.events: list[Event] = []
        self._written: dict[str, bytes] = {}
        """Files opened for writing, with their content as logged last."""
        self._own = False
        """Whether what happens is done by this log."""

    def begin(self) -> None:
        """Start the log."""
        sync = os.fsync

        def fsync(fd: Any) -> None:
            number = fd if isinstance(fd, int) else fd.fileno()
            self._log("sync", os.readlink(f"/proc/self/fd/{number}"))
            sync(fd)

        os.fsync = fsync
        sys.addaudithook(self._hook)

    def end(self) -> list[Event]:
        """All events."""
        self._log_contents()
        return self.events

    def _hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self._own or event not in HANDLERS:
            return
        self._own = True
        try:
            HANDLERS[event](self, *arguments)
        finally:
            self._own = False

    def _open(self, path: Any, mode: Any, flags: int) -> None:
        if isinstance(path, int) or not flags & WRITES:
            return
        place = self._below(path)
        if place is None or stat.S_ISDIR(os.stat(path).st_mode if os.path.lexists(path) else 0):
            return
        if not os.path.lexists(path):
            self._log("create", path)
            self._written[place] = b""
        else:
            self._log_contents()
            self._written.setdefault(place, (self._root / place).read_bytes())

    def _rename(self, old: Any, new: Any, old_folder: int, new_folder: int) -> None:
        place, target = self._below(old, old_folder), self._below(new, new_folder)
        if place is None and target is None:
            return
        if place is None or target is None:
            raise RuntimeError(f"{old} is moved across the border of the log")
        self._log("rename", old, target, old_folder)
        for name in [name for name in self._written if name == place or name.startswith(place + "/")]:
            self._written[target + name.removeprefix(place)] = self._written.pop(name)

    def _remove(self, path: Any, folder: int) -> None:
        self._log("remove", path, "", folder)
        if (place := self._below(path, folder)) is not None:
            self._written.pop(place, None)

    def _mkdir(self, path: Any, mode: int, folder: int) -> None:
        self._log("mkdir", path, "", folder)

    def _rmdir(self, path: Any, folder: int) -> None:
        self._log("rmdir", path, "", folder)

    def _link(self, *arguments: Any) -> None:
        raise RuntimeError(f"links are not part of the log: {arguments}")

    def _log(self, what: str, path: Any, more: str = "", folder: int = -1) -> None:
        place = self._below(path, folder)
        if place is not None:
            self._log_contents()
            self.events.append((what, place, more))

    def _log_contents(self) -> None:
        own, self._own = self._own, True
        try:
            for place, before in self._written.items():
                try:
                    content = (self._root / place).read_bytes()
                except FileNotFoundError:
                    # Created by the call that is about to happen.
                    continue
                if content != before:
                    self._written[place] = content
                    self.events.append(("content", place, content))
        finally:
            self._own = own

    def _below(self, path: Any, folder: int = -1) -> str | None:
        """Path below the watched folder; None for another one."""
        text = os.fsdecode(path)
        if folder >= 0 and not os.path.isabs(text):
            text = os.path.join(os.readlink(f"/proc/self/fd/{folder}"), text)
        text = os.path.abspath(text)
        # The folder itself may be moved or a link; its files may not.
        root = str(self._root)
        return text[len(root) :].lstrip("/") if text == root or text.startswith(root + "/") else None


HANDLERS: dict[str, Callable[..., None]] = {
    "open": FileLog._open,
    "os.rename": FileLog._rename,
    "os.remove": FileLog._remove,
    "os.mkdir": FileLog._mkdir,
    "os.rmdir": FileLog._rmdir,
    "os.link": FileLog._link,
    "os.symlink": FileLog._link,
}
