"""DVS-Gesture as IBM gives it out: long recordings of a person each, with lists of gestures and when they were made."""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from opzo.host.recording import Recording
from opzo.host.recordings import read_recording
from opzo.spec.errors import OpzoError

LISTS = {"train": "trials_to_train.txt", "test": "trials_to_test.txt"}
HEAD = ["class", "startTime_usec", "endTime_usec"]
CLASSES = 11
REMEDY = "unpack DvsGesture.tar.gz again"


@dataclass(frozen=True)
class Gesture:
    """Label 0..10 and microseconds of the recording's clock."""

    label: int
    start: int
    end: int


def gesture_files(folder: Path, part: str) -> list[Path]:
    """Recordings of the training or test part, in the order of the official list."""
    paths = [folder / name.strip() for name in _text(folder / LISTS[part]).splitlines() if name.strip()]
    for path in paths:
        for needed in (path, labels_path(path)):
            if not needed.is_file():
                raise OpzoError(f"{folder / LISTS[part]} lists {path.name}, but there is no {needed}; {REMEDY}")
    return paths


def labels_path(recording: Path) -> Path:
    """File with the gestures of a recording."""
    return recording.with_name(f"{recording.stem}_labels.csv")


def read_gestures(path: Path) -> list[Gesture]:
    """Gestures of a ``..._labels.csv``; its classes 1..11 become labels 0..10."""
    rows = [row for row in csv.reader(_text(path).splitlines()) if row]
    if not rows or [name.strip() for name in rows[0]] != HEAD:
        raise OpzoError(f"{path} does not begin with the line {','.join(HEAD)}; {REMEDY}")
    gestures = []
    for number, row in enumerate(rows[1:], start=2):
        try:
            label, start, end = map(int, row)
        except ValueError:
            raise OpzoError(f"{path}, line {number}: '{','.join(row)}' is not three whole numbers; {REMEDY}") from None
        if not 1 <= label <= CLASSES or not 0 <= start < end:
            raise OpzoError(f"{path}, line {number}: class {label} from {start} to {end} us cannot be; {REMEDY}")
        gestures.append(Gesture(label - 1, start, end))
    return gestures


def gesture_recordings(paths: list[Path]) -> Iterator[tuple[Recording, int]]:
    """All gestures of these recordings, each as a recording of its own, with its label."""
    for path in paths:
        whole = read_recording(path, mend_clock=False)
        for gesture in read_gestures(labels_path(path)):
            first, last = np.searchsorted(whole.t, (gesture.start, gesture.end))
            if first == last:
                raise OpzoError(f"{path} has no events from {gesture.start} to {gesture.end} us; {REMEDY}")
            part = slice(first, last)
            events = Recording(
                whole.t[part], whole.x[part], whole.y[part], whole.polarity[part], whole.width, whole.height
            )
            yield events, gesture.label


def _text(path: Path) -> str:
    try:
        return path.read_text("ascii")
    except FileNotFoundError:
        raise OpzoError(f"there is no file {path}; {REMEDY}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise OpzoError(f"cannot read {path}: {getattr(error, 'strerror', None) or error}; {REMEDY}") from None
