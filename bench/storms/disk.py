"""What a disk may hold after a power cut: only what was synced is certain, of the rest anything may be there."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from storms.file_log import Event

MODES = ("lost", "empty", "torn", "mixed")
"""States after a power cut: nothing that was not synced is there; all names are there, and files whose content was not
synced have their last synced content, or are empty; or they are cut off somewhere; or each name and each content is by
chance the synced or the latest one."""
TREES = dict[str, bytes | None]
"""Paths with the contents of files; None for a folder."""


@dataclass
class File:
    """Content as synced, and the latest one."""

    synced: bytes = b""
    latest: bytes = b""


@dataclass
class Folder:
    """Entries as synced, and the latest ones."""

    synced: dict[str, File | Folder] = field(default_factory=dict)
    latest: dict[str, File | Folder] = field(default_factory=dict)


class Disk:
    """A folder on a disk.

    Parameters
    ----------
    root : Path
        What it holds at first, all of it synced.

    Attributes
    ----------
    promised : set of str
        Files that were renamed into a folder that was synced since: they must be there, in some version.
    """

    def __init__(self, root: Path) -> None:
        self._root = _load(root)
        self.promised: set[str] = set()
        self._renamed: set[str] = set()

    def apply(self, event: Event) -> None:
        """Do what the process did; what failed there fails here too and changes nothing."""
        what, path, more = event
        if not path:
            node: File | Folder | None = self._root
            parent, name = self._root, ""
        else:
            above, _, name = path.rpartition("/")
            found = self._find(above)
            if not isinstance(found, Folder):
                return
            parent, node = found, found.latest.get(name)
        if what == "create":
            parent.latest.setdefault(name, File())
        elif what == "content":
            assert isinstance(node, File)
            assert isinstance(more, bytes)
            node.latest = more
        elif what == "sync":
            self._sync(path, node)
        elif what == "mkdir":
            parent.latest.setdefault(name, Folder())
        elif what == "rename":
            self._rename(parent, path, str(more))
        elif what == "remove" and isinstance(node, File):
            del parent.latest[name]
            self._forget(path)
        elif what == "rmdir" and isinstance(node, Folder) and not node.latest:
            del parent.latest[name]

    def state(self, mode: str, random: Random) -> TREES:
        """What may be there after a power cut now (`MODES`)."""
        tree: TREES = {}
        _collect(self._root, "", mode, random, tree)
        return tree

    def _find(self, path: str) -> File | Folder | None:
        node: File | Folder | None = self._root
        for name in path.split("/") if path else ():
            node = node.latest.get(name) if isinstance(node, Folder) else None
        return node

    def _sync(self, path: str, node: File | Folder | None) -> None:
        if isinstance(node, File):
            node.synced = node.latest
        elif isinstance(node, Folder):
            node.synced = dict(node.latest)
            arrived = {name for name in self._renamed if name.rpartition("/")[0] == path}
            self.promised |= arrived
            self._renamed -= arrived

    def _rename(self, parent: Folder, path: str, target: str) -> None:
        name = path.rpartition("/")[2]
        above, _, new = target.rpartition("/")
        place, node = self._find(above), parent.latest.get(name)
        if node is None or not isinstance(place, Folder):
            return
        del parent.latest[name]
        place.latest[new] = node
        if isinstance(node, File):
            self._renamed.add(target)
        else:
            inside = {name for name in self.promised | self._renamed if name.startswith(f"{path}/")}
            self.promised -= inside
            self._renamed -= inside

    def _forget(self, path: str) -> None:
        self.promised.discard(path)
        self._renamed.discard(path)


def _load(path: Path) -> Folder:
    entries: dict[str, File | Folder] = {}
    for entry in path.iterdir():
        entries[entry.name] = _load(entry) if entry.is_dir() else File(entry.read_bytes(), entry.read_bytes())
    return Folder(dict(entries), dict(entries))


def _collect(folder: Folder, above: str, mode: str, random: Random, tree: TREES) -> None:
    for name in sorted(folder.synced.keys() | folder.latest.keys()):
        use_synced = mode == "lost" or (mode == "mixed" and random.random() < 0.5)
        node = (folder.synced if use_synced else folder.latest).get(name)
        path = f"{above}{name}"
        if isinstance(node, Folder):
            tree[path] = None
            _collect(node, f"{path}/", mode, random, tree)
        elif isinstance(node, File):
            tree[path] = _content(node, mode, random)


def _content(file: File, mode: str, random: Random) -> bytes:
    if file.synced == file.latest or mode in ("lost", "empty"):
        return file.synced
    if mode == "mixed" and random.random() < 0.5:
        return random.choice((file.synced, file.latest))
    return file.latest[: random.randrange(len(file.latest) + 1)]


def write_tree(tree: TREES, root: Path) -> None:
    """Write a state into an empty folder."""
    for path, content in tree.items():
        if content is None:
            (root / path).mkdir(parents=True, exist_ok=True)
        else:
            (root / path).write_bytes(content)
