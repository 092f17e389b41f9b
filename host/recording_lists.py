"""Which recordings a data set is made of, with their labels: folders of classes, lists, single files."""

import csv
from dataclasses import dataclass
from pathlib import Path

from opzo.host.data import LABEL_MAX
from opzo.host.event_files import PARTS
from opzo.host.recordings import SUFFIXES
from opzo.spec.errors import OpzoError

LIST_SUFFIXES = (".csv", ".txt")


@dataclass(frozen=True)
class Labelled:
    """File of a recording, its label, and the part that it belongs to: "train", "test" or "" (not said)."""

    path: Path
    label: int
    part: str = ""


def recordings_of_folder(folder: Path) -> tuple[list[Labelled], list[str]]:
    """Recordings of ``folder/CLASS/*`` or ``folder/train/CLASS/*`` and ``folder/test/CLASS/*``; names by label.

    Labels count the classes in order of name; where all names are numbers, they are the labels, and no names come.
    """
    parts = {part: folder / part for part in PARTS if (folder / part).is_dir()}
    if parts and len(parts) < len(PARTS):
        raise OpzoError(f"{folder} has only {', '.join(parts)}; it needs both {' and '.join(PARTS)}, or neither")
    found = [
        (part, path.parent.name, path)
        for part, base in (parts or {"": folder}).items()
        for path in sorted(base.glob("*/*"), key=lambda path: (path.parent.name, len(path.name), path.name))
        if path.suffix.lower() in SUFFIXES
    ]
    if not found:
        raise OpzoError(f"{folder} has no recordings in folders of classes; name them {folder}/[train|test/]CLASS/NAME")
    classes = sorted({name for _, name, _ in found})
    numbered = all(map(str.isdecimal, classes))
    labels = {name: int(name) if numbered else i for i, name in enumerate(classes)}
    if max(labels.values()) > LABEL_MAX:
        raise OpzoError(f"{folder} has label {max(labels.values())}; classes are numbered from 0 to {LABEL_MAX}")
    for part in parts:
        missing = set(classes) - {name for of_part, name, _ in found if of_part == part}
        if missing:
            raise OpzoError(f"{folder / part} has no recordings of {', '.join(sorted(missing))}; add them")
    return [Labelled(path, labels[name], part) for part, name, path in found], [] if numbered else classes


def recordings_of_list(path: Path) -> list[Labelled]:
    """Recordings of a text file with lines ``FILE,LABEL`` or ``FILE,LABEL,train|test``; ``#`` begins a comment.

    Files are relative to the folder of the list.
    """
    try:
        rows = list(csv.reader(path.read_text().splitlines(), skipinitialspace=True))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise OpzoError(f"cannot read {path}: {getattr(error, 'strerror', None) or error}; give a text file") from None
    recordings = []
    for number, row in enumerate(rows, start=1):
        if not row or row[0].startswith("#"):
            continue
        fields = [field.strip() for field in row]
        if len(fields) not in (2, 3) or not fields[1].isdecimal() or int(fields[1]) > LABEL_MAX:
            raise OpzoError(f"{path}, line {number}: '{','.join(row)}' is not FILE,LABEL with a label 0..{LABEL_MAX}")
        if len(fields) == 3 and fields[2] not in PARTS:
            raise OpzoError(f"{path}, line {number}: there is no part '{fields[2]}'; write {' or '.join(PARTS)}")
        recordings.append(Labelled(path.parent / fields[0], int(fields[1]), *fields[2:]))
    if not recordings:
        raise OpzoError(f"{path} lists no recordings; write lines FILE,LABEL")
    if len({bool(recording.part) for recording in recordings}) > 1:
        raise OpzoError(
            f"{path} says the part of some recordings only; write {' or '.join(PARTS)} in all lines or none"
        )
    return recordings


def split(recordings: list[Labelled], test_every: int) -> tuple[list[Labelled], list[Labelled]]:
    """Training and test part; where that is not said, each ``test_every``-th of a class is a test recording."""
    parts: tuple[list[Labelled], list[Labelled]] = ([], [])
    seen: dict[int, int] = {}
    for recording in recordings:
        seen[recording.label] = seen.get(recording.label, 0) + 1
        last_of_run = seen[recording.label] % test_every == 0
        parts[recording.part == "test" if recording.part else last_of_run].append(recording)
    for name, part in zip(PARTS, parts, strict=True):
        if not part:
            raise OpzoError(
                f"there is nothing to {name} with: of {len(recordings)} recordings, each {test_every}th of a class is "
                "for testing; give more of them, another --test-every, or their parts in a list"
            )
    return parts
