"""DVS-Gesture as distributed by IBM: a long recording per person and lighting, with a list of gestures and times."""

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
"""First line of a label file, in lower case."""
CLASSES = 11
REMEDY = "unpack DvsGesture.tar.gz again"


@dataclass(frozen=True)
class Gesture:
    """One gesture: label 0..10, start and end in microseconds on the recording's clock."""

    label: int
    start: int
    end: int


def gesture_files(folder: Path, part: str) -> list[Path]:
    """Paths of the recordings of the training or test part, in the order of the official list."""
    paths = [folder / name.strip() for name in read_text(folder / LISTS[part], REMEDY).splitlines() if name.strip()]
    for path in paths:
        for needed in (path, labels_path(path)):
            if not needed.is_file():
                raise OpzoError(f"{folder / LISTS[part]} lists {path.name}, but there is no {needed}; {REMEDY}")
    return paths


def labels_path(recording: Path) -> Path:
    """Path of the label file of a recording."""
    return recording.with_name(f"{recording.stem}_labels.csv")


def read_gestures(path: Path) -> list[Gesture]:
    """Gestures of a label file ``..._labels.csv``; classes 1..11 in the file become labels 0..10."""
    lines = [(number, line) for number, line in enumerate(read_text(path, REMEDY).splitlines(), 1) if line.strip()]
    delimiter = delimiter_of(line for _, line in lines)
    gestures = []
    for place, (number, line) in enumerate(lines):
        try:
            fields = [field.strip() for field in next(csv.reader([line], delimiter=delimiter))]
            if place == 0 and not fields[0].isdecimal():
                if [field.lower() for field in fields] == HEAD:
                    continue
                raise OpzoError(f"{path} does not start with the line class,startTime_usec,endTime_usec; {REMEDY}")
            label, start, end = (int(field[:19]) for field in fields)
        except (ValueError, csv.Error):
            shown = printable(line)
            raise OpzoError(f"{path}, line {number}: '{shown}' is not three whole numbers; {REMEDY}") from None
        if not 1 <= label <= CLASSES or not 0 <= start < end:
            raise OpzoError(f"{path}, line {number}: class {label} from {start} to {end} us is invalid; {REMEDY}")
        gestures.append(Gesture(label - 1, start, end))
    if not gestures:
        raise OpzoError(f"{path} lists no gestures; {REMEDY}")
    return gestures


def gesture_recordings(paths: list[Path]) -> Iterator[tuple[Recording, int]]:
    """All gestures in these recordings, each as a separate recording with its label."""
    for path in paths:
        complete = read_recording(path, mend_clock=False)
        for gesture in read_gestures(labels_path(path)):
            first, last = np.searchsorted(complete.t, (gesture.start, gesture.end))
            if first == last:
                raise OpzoError(f"{path} has no events from {gesture.start} to {gesture.end} us; {REMEDY}")
            part = slice(first, last)
            columns = {name: getattr(complete, name)[part] for name in ("t", "x", "y", "polarity")}
            yield replace(complete, **columns), gesture.label
