"""Recordings in memory, as tonic's data sets have them: arrays named x, y, t and p of each."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from opzo.host.data.events.binning import Binning, bin_recordings
from opzo.host.data.events.event_samples import Events
from opzo.host.data.labels import labels_of
from opzo.host.data.recordings.recording import RawEvents, Recording, check
from opzo.spec.errors import OpzoError
from opzo.spec.messages import shown
from opzo.spec.values import whole_number

COLUMNS = {"x": ("x",), "y": ("y",), "t": ("t", "timestamp", "ts"), "p": ("p", "polarity", "pol")}
"""Names of each column, the usual one first."""
KIND = "give a structured array, a dictionary or an object with x, y, t and p, as tonic's data sets have them"


def events_of(recordings: Iterable[Any], y: ArrayLike | None, sensor: Sequence[int], binning: Binning) -> Events:
    """Events of recordings in memory (`Events.from_recordings`)."""
    if (isinstance(recordings, np.ndarray) and recordings.dtype.names) or isinstance(recordings, Mapping | str):
        raise OpzoError(f"recordings are one {type(recordings).__name__}; give a list of recordings")
    given = list(recordings)
    if not given:
        raise OpzoError("recordings is empty; give at least one recording")
    size = _size(sensor)
    labels = np.zeros(len(given), np.uint8) if y is None else labels_of(y, len(given), "y", "recordings")
    return bin_recordings(_labelled(given, labels, size), binning, "the recordings")


def _labelled(given: list[Any], labels: NDArray[np.uint8], size: tuple[int, int]) -> Iterator[tuple[Recording, int]]:
    for number, (recording, label) in enumerate(zip(given, labels.tolist(), strict=True)):
        yield recording_of(recording, size, f"recording {number}"), label


def recording_of(given: Any, size: tuple[int, int], name: str) -> Recording:
    """Checked recording of arrays x, y, t and p; without y on a sensor of one row. OpzoError names ``name``."""
    t = _column(given, "t", name)
    row = np.zeros(t.shape, np.int64) if size[1] == 1 and _found(given, "y") is None else _column(given, "y", name)
    x, p = _column(given, "x", name), _column(given, "p", name)
    for column, values in (("x", x), ("y", row), ("p", p)):
        if values.shape != t.shape:
            raise OpzoError(f"{name} has {column} of shape {values.shape}, but t of {t.shape}; give a value per event")
    return check(name, RawEvents(t, x, row, p, size, "event {}".format), size)


def _found(given: Any, column: str) -> Any:
    """Values of a column as given; None where it is missing."""
    for key in COLUMNS[column]:
        if isinstance(given, np.ndarray):
            found = given[key] if key in (given.dtype.names or ()) else None
        else:
            found = given.get(key) if isinstance(given, Mapping) else getattr(given, key, None)
        if found is not None:
            return found
    return None


def _column(given: Any, column: str, name: str) -> NDArray[np.int64]:
    found = _found(given, column)
    if found is None:
        kind = f"type {given.dtype}" if isinstance(given, np.ndarray) else shown(given)
        raise OpzoError(f"{name} has no {column} ({kind}); {KIND}")
    values = np.asarray(found)
    if values.ndim != 1 or values.dtype.kind not in ("biu" if column == "p" else "iu"):
        unit = ", in microseconds" if column == "t" else ""
        raise OpzoError(
            f"{name} has {column} of type {values.dtype} and shape {values.shape}; give whole numbers (events,){unit}"
        )
    return values.astype(np.int64)


def _size(sensor: Sequence[int]) -> tuple[int, int]:
    """Width and height; tonic's sensor sizes have the number of polarities as well."""
    if isinstance(sensor, str) or not isinstance(sensor, Sequence | np.ndarray) or len(sensor) not in (2, 3):
        raise OpzoError(f"sensor is {shown(sensor)}; give its size (width, height), such as (34, 34)")
    width, height = (whole_number("a side of the sensor", side, 1, 1 << 16) for side in sensor[:2])
    return width, height
