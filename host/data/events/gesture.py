"""DVS-Gesture as IBM gives it out: long recordings of a person each, with lists of gestures and when they were made."""

import csv
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from opzo.host.data.recordings.lists import delimiter_of
from opzo.host.data.recordings.readers import read_recording
from opzo.host.data.recordings.recording import Recording
from opzo.spec.errors import OpzoError
from opzo.spec.messages import printable
from opzo.system.text_files import read_text

LISTS = {"train": "trials_to_train.txt", "test": "trials_to_test.txt"}
HEAD = ["class", "starttime_usec", "endtime_usec"]
"""First line of a file of labels, in lower case."""
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
    paths = [folder / name.strip() for name in read_text(folder / LISTS[part], REMEDY).splitlines() if name.strip()]
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
    lines = [(number, line) for number, line in enumerate(read_text(path, REMEDY).splitlines(), 1) if line.strip()]
    delimiter = delimiter_of(line for _, line in lines)
    gestures = []
    for place, (number, line) in enumerate(lines):
        try:
            fields = [field.strip() for field in next(csv.reader([line], delimiter=delimiter))]
            if place == 0 and not fields[0].isdecimal():
                if [field.lower() for field in fields] == HEAD:
                    continue
                raise OpzoError(f"{path} does not begin with the line class,startTime_usec,endTime_usec; {REMEDY}")
            label, start, end = (int(field[:19]) for field in fields)
        except (ValueError, csv.Error):
            shown = printable(line)
            raise OpzoError(f"{path}, line {number}: '{shown}' is not three whole numbers; {REMEDY}") from None
        if not 1 <= label <= CLASSES or not 0 <= start < end:
            raise OpzoError(f"{path}, line {number}: class {label} from {start} to {end} us cannot be; {REMEDY}")
        gestures.append(Gesture(label - 1, start, end))
    if not gestures:
        raise OpzoError(f"{path} names no gestures; {REMEDY}")
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
            columns = {name: getattr(whole, name)[part] for name in ("t", "x", "y", "polarity")}
            yield replace(whole, **columns), gesture.label
