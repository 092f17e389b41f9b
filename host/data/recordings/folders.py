"""Search for recordings in folders, one folder per class or other group."""

import logging
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from opzo.host.data.events.event_files import PARTS
from opzo.host.data.labels import LABEL_MAX
from opzo.host.data.recordings.lists import Labelled
from opzo.host.data.recordings.readers import SUFFIXES
from opzo.spec.errors import OpzoError
from opzo.spec.messages import printable
from opzo.system.litter import is_litter

DEEPER_MAX = 10_000
"""Maximum number of folder entries searched for files that are nested deeper than expected."""

logger = logging.getLogger(__name__)


def recordings_of_folder(folder: Path) -> tuple[list[Labelled], list[str]]:
    """Recordings in ``folder/CLASS/*``, or ``folder/train/CLASS/*`` and ``folder/test/CLASS/*``, and the class names.

    Labels count the classes in order of name; if all names are numbers, the numbers are the labels, and no names are
    returned. Other files are skipped with a warning.
    """
    found = [(part, path) for part, base in _parts(folder).items() for path in files_of_groups(base, SUFFIXES)]
    if not found:
        raise OpzoError(
            f"{folder} has no recordings in class folders{_elsewhere(folder)}; arrange them as "
            f"{folder}/[train|test/]CLASS/NAME"
        )
    classes = sorted({path.parent.name for _, path in found})
    numbered = all(map(str.isdecimal, classes))
    labels = {name: int(name[:9]) if numbered else i for i, name in enumerate(classes)}
    if max(labels.values()) > LABEL_MAX:
        raise OpzoError(f"{folder} has label {max(labels.values())}; number classes from 0 to {LABEL_MAX}")
    if len(set(labels.values())) < len(labels):
        raise OpzoError(f"{folder} has two folders for the same label: {', '.join(classes)}; rename one of them")
    for part in {part for part, _ in found if part}:
        missing = set(classes) - {path.parent.name for of_part, path in found if of_part == part}
        if missing:
            raise OpzoError(f"{folder / part} has no recordings of {', '.join(sorted(missing))}; add them")
    return [Labelled(path, labels[path.parent.name], part) for part, path in found], [] if numbered else classes


def _parts(folder: Path) -> dict[str, Path]:
    """Folders of the training and the test part by name; if there are none, the folder itself under ""."""
    with _reading(folder):
        entries = _entries(folder)
        named = [path for path in entries if path.is_dir() and path.name.lower() in PARTS]
    parts = {path.name.lower(): path for path in named}
    if len(parts) < len(named) or len(parts) == 1:
        raise OpzoError(
            f"{folder} has only {' and '.join(path.name for path in named)}; it needs {' and '.join(PARTS)}, or neither"
        )
    others = [path for path in entries if parts and path not in named]
    _warn_of_skipped(folder, {f"entries next to {' and '.join(PARTS)}": others} if others else {})
    return {part: parts[part] for part in PARTS} if parts else {"": folder}


@contextmanager
def _reading(folder: Path) -> Iterator[None]:
    """Convert errors of the operating system to OpzoError."""
    try:
        yield
    except OSError as error:
        raise OpzoError(
            f"cannot read {error.filename or folder}: {error.strerror or error}; check its path and permissions"
        ) from None


def files_of_groups(folder: Path, suffixes: Collection[str]) -> list[Path]:
    """Files ``folder/GROUP/NAME`` with one of ``suffixes``, sorted by group, then by name with numbers in order.

    Other files are skipped with a warning; files that operating systems leave there, without one.
    """
    with _reading(folder):
        found, skipped = _search(folder, suffixes)
    if found:
        _warn_of_skipped(folder, skipped)
    return found


def _search(folder: Path, suffixes: Collection[str]) -> tuple[list[Path], dict[str, list[Path]]]:
    """Files in groups, and skipped files by reason."""
    skipped: dict[str, list[Path]] = {}

    def skip(what: str, path: Path) -> None:
        skipped.setdefault(what, []).append(path)

    found: list[Path] = []
    budget = iter(range(DEEPER_MAX))
    for group in sorted(_entries(folder)):
        if not group.is_dir():
            skip("files outside any class folder", group)
            continue
        before = len(found)
        for path in _entries(group):
            if path.is_dir():
                for deeper in _files_below(path, suffixes, budget):
                    skip("files nested deeper than CLASS/NAME", deeper)
            elif path.suffix.lower() not in suffixes:
                skip(f"files without suffix {', '.join(sorted(suffixes))}", path)
            elif not path.is_file():
                skip("entries that are not files (any more)", path)
            elif not path.stat().st_size:
                skip("empty files", path)
            else:
                found.append(path)
        if len(found) == before:
            skip("folders without recordings, which are not classes", group)
    return found, skipped


def _entries(folder: Path) -> list[Path]:
    """Entries of a folder, sorted by name with numbers in order; without files that operating systems leave there."""
    return sorted(
        (path for path in folder.iterdir() if not is_litter(path)), key=lambda path: (len(path.name), path.name)
    )


def _warn_of_skipped(folder: Path, skipped: dict[str, list[Path]]) -> None:
    for what, paths in skipped.items():
        first = printable(paths[0].relative_to(folder))
        logger.warning("%s: skipped %d %s, the first: %s", printable(folder), len(paths), what, first)


def _files_below(folder: Path, suffixes: Collection[str], budget: Iterator[int]) -> Iterator[Path]:
    """Files at any depth; each entry consumes one item of ``budget``, and the search ends when that is exhausted."""
    for path, _ in zip(folder.rglob("*"), budget, strict=False):
        if (
            path.suffix.lower() in suffixes
            and path.is_file()
            and not any(map(is_litter, (path, *path.relative_to(folder).parents)))
        ):
            yield path


def _elsewhere(folder: Path) -> str:
    """Text for the message: where there are recordings instead, or ''."""
    first = min(
        _files_below(folder, SUFFIXES, iter(range(DEEPER_MAX))), default=None, key=lambda path: (len(path.parts), path)
    )
    if first is None:
        return ""
    if first.parent == folder:
        return f", but some directly in it ({first.name}: give a single recording with --label N)"
    return f", but elsewhere ({first.relative_to(folder)}: give the folder that contains the class folders)"
