"""Recordings in HDF5, read by h5py.

Layouts: a group ``events`` with datasets ``x``, ``y``, ``t`` and ``p`` (DSEC, with ``t_offset`` beside the group, added
to each time), the same in the root of the file, or a dataset ``events`` or ``CD/events`` with these fields (Prophesee).
``t`` are whole microseconds; ``p`` is 1 for brighter and 0 or -1 for darker. The size of the sensor is in attributes
``width`` and ``height``, or ``geometry`` ("1280x720"), of the events or of the file. Tolerated: anything else in the
file.
"""

import re
from pathlib import Path
from typing import Any

import numpy as np

from opzo.host.recording import RawEvents
from opzo.spec.errors import OpzoError

HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"
FIELDS = ("t", "x", "y", "p")


def read_hdf5(path: Path) -> RawEvents:
    """Events of an HDF5 file; OpzoError where it is damaged, lacks a field, or h5py is missing."""
    try:
        import h5py
    except ImportError:
        raise OpzoError(f"{path}: HDF5 needs the library h5py; pip install 'opzo[events]'") from None
    try:
        with h5py.File(path, "r") as file:
            events = _events(path, file)
            fields = {name: _values(path, events, name) for name in FIELDS}
            offset = int(file["t_offset"][()]) if "t_offset" in file else 0
            sensor = _sensor(events.attrs) or _sensor(file.attrs)
    except (OSError, RuntimeError, KeyError, ValueError, TypeError, OverflowError) as error:
        raise OpzoError(
            f"{path}: cannot be read as HDF5: {error}; copy the file again, or write it without special compression"
        ) from None
    lengths = {name: len(values) for name, values in fields.items()}
    if len(set(lengths.values())) > 1:
        raise OpzoError(f"{path}: truncated: {lengths} values at event {min(lengths.values())}; write the file again")
    polarity = fields["p"].astype(np.int64)
    wrong = ~np.isin(polarity, (-1, 0, 1))
    if wrong.any():
        first = int(wrong.argmax())
        raise OpzoError(f"{path}: polarity {polarity[first]} at event {first}; 1 for brighter, 0 or -1 for darker")
    # A time beyond int64 becomes negative here, and so runs backwards.
    t, x, y = (fields[name].astype(np.int64) for name in ("t", "x", "y"))
    return RawEvents(t + offset, x, y, polarity > 0, sensor, lambda index: f"event {index}")


def _events(path: Path, file: Any) -> Any:
    """The group or dataset that has all fields."""
    for name in ("events", "CD/events", "/"):
        if name in file:
            names = getattr(getattr(file[name], "dtype", None), "names", None) or list(
                getattr(file[name], "keys", list)()
            )
            if set(FIELDS) <= set(names):
                return file[name]
    raise OpzoError(
        f"{path}: no events with t, x, y and p, but {', '.join(sorted(file)) or 'nothing'} at byte 0; write them as "
        "datasets events/t, events/x, events/y and events/p"
    )


def _values(path: Path, events: Any, name: str) -> Any:
    values = events[name][()] if hasattr(events, "keys") else events[name]
    if values.ndim != 1 or values.dtype.kind not in "iub":
        raise OpzoError(
            f"{path}: {name} of type {values.dtype} and shape {values.shape} from event 0 on; one whole number an "
            "event, time in microseconds"
        )
    return values


def _sensor(attributes: Any) -> tuple[int, int] | None:
    if "width" in attributes and "height" in attributes:
        return int(attributes["width"]), int(attributes["height"])
    found = re.fullmatch(r"(\d+)x(\d+)", str(attributes.get("geometry", "")))
    return (int(found[1]), int(found[2])) if found else None
