"""Lists of recordings with labels, and their division into a training and a test part."""

import csv
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from opzo.host.data.events.event_files import PARTS
from opzo.host.data.labels import LABEL_MAX
from opzo.spec.errors import OpzoError
from opzo.spec.messages import printable
from opzo.system.text_files import read_text

LIST_SUFFIXES = (".csv", ".txt")
DELIMITERS = ",;\t"
LABEL_WORDS = frozenset({"class", "category", "id", "label", "labels", "target", "y"})
"""Accepted names of the label column in the first line of a list."""


@dataclass(frozen=True)
class Labelled:
    """File of a recording, its label, and its part: "train", "test", or "" if not given."""

    path: Path
    label: int
    part: str = ""


def recordings_of_list(path: Path) -> list[Labelled]:
    """Recordings of a text file with lines ``FILE,LABEL`` or ``FILE,LABEL,train|test``; ``#`` starts a comment.

    Paths are relative to the folder of the list. Semicolons or tabs may replace the commas, and the first line may
    name the columns.
    """
    recordings: list[Labelled] = []
    for number, row in _rows(path):
        fields = [field.strip() for field in row]
        if not recordings and len(fields) in (2, 3) and fields[1].lower() in LABEL_WORDS:
            continue
        shown = printable(",".join(row))
        if len(fields) not in (2, 3) or not fields[1].isdecimal() or int(fields[1][:9]) > LABEL_MAX:
            raise OpzoError(f"{path}, line {number}: '{shown}' is not FILE,LABEL with a label 0..{LABEL_MAX}")
        if len(fields) == 3 and fields[2].lower() not in PARTS:
            raise OpzoError(
                f"{path}, line {number}: there is no part '{printable(fields[2])}'; write {' or '.join(PARTS)}"
            )
        recording = _listed(path.parent, fields[0])
        if recording is None:
            raise OpzoError(
                f"{path}, line {number}: there is no file '{printable(fields[0])}' in {path.parent}; correct the path"
            )
        recordings.append(Labelled(recording, int(fields[1][:9]), *map(str.lower, fields[2:])))
    if not recordings:
        raise OpzoError(f"{path} lists no recordings; write lines FILE,LABEL")
    if len({bool(recording.part) for recording in recordings}) > 1:
        raise OpzoError(
            f"{path} gives the part of only some recordings; write {' or '.join(PARTS)} in all lines or none"
        )
    return recordings


def _rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Rows of a list with their line numbers, without empty lines and comments."""
    lines = [
        (number, line)
        for number, line in enumerate(read_text(path, "give a text file").splitlines(), start=1)
        if line.strip() and not line.lstrip().startswith("#")
    ]
    delimiter = delimiter_of(line for _, line in lines)
    for number, line in lines:
        try:
            yield number, next(csv.reader([line], delimiter=delimiter, skipinitialspace=True))
        except csv.Error as error:
            raise OpzoError(f"{path}, line {number}: {error}; give a text file with lines FILE,LABEL") from None


def delimiter_of(lines: Iterable[str]) -> str:
    """Delimiter of the columns: the first of DELIMITERS that is in all lines, else a comma."""
    listed = list(lines)
    return next((delimiter for delimiter in DELIMITERS if all(delimiter in line for line in listed)), ",")


def _listed(folder: Path, name: str) -> Path | None:
    """Path of the file with this name, which may have separators of Windows; None if there is none."""
    for written in (name, name.replace("\\", "/")):
        try:
            if (folder / written).is_file():
                return folder / written
        except (OSError, ValueError):
            return None
    return None


def split(recordings: list[Labelled], test_every: int) -> tuple[list[Labelled], list[Labelled]]:
    """Training and test part; without given parts, every ``test_every``-th recording of a class is for testing."""
    parts: tuple[list[Labelled], list[Labelled]] = ([], [])
    seen: dict[int, int] = {}
    for recording in recordings:
        seen[recording.label] = seen.get(recording.label, 0) + 1
        is_nth = seen[recording.label] % test_every == 0
        parts[recording.part == "test" if recording.part else is_nth].append(recording)
    for name, part in zip(PARTS, parts, strict=True):
        if not part:
            raise OpzoError(
                f"there are no recordings to {name}: of {len(recordings)} recordings, every {test_every}th of a class "
                "is for testing; give more recordings, another --test-every, or the parts in a list"
            )
    return parts
