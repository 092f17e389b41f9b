"""Reader of recordings in HDF5, based on h5py.

Layouts: a group ``events`` with datasets ``x``, ``y``, ``t`` and ``p`` (DSEC, with ``t_offset`` in the root, added to
each time), the same in the root of the file or in a group for each camera (M3ED), or a dataset ``events`` or
``CD/events`` with these fields (Prophesee). ``t`` is in whole microseconds; ``p`` is 1 for brighter and 0 or -1 for
darker. The sensor size is in the attributes ``width`` and ``height``, or ``geometry`` ("1280x720"), of the events or
the file. Everything else in the file is ignored. Links to other files and external datasets are rejected. Compressions
that are not part of HDF5 need hdf5plugin.
"""

import contextlib
import re
from collections.abc import Iterator
from importlib import import_module
from itertools import islice
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from opzo.host.data.recordings.clock import TIME_MAX
from opzo.host.data.recordings.recording import RawEvents, choose_camera
from opzo.spec.errors import OpzoError
from opzo.spec.messages import printable
from opzo.system.bounds import check_memory
from opzo.system.probe import probe

HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"
FIELDS = ("t", "x", "y", "p")
USUAL = ("events", "CD/events", "/")
"""Usual places of events, in order of preference; the rest of the file is searched after them."""
DEPTH_MAX, OBJECTS_MAX = 5, 1000
SOFT_LINKS_MAX = 8
COPIES = 3
"""In memory at the same time: the values of the file, as 64-bit numbers, and as in the recording."""
FILTERS = {32001: "Blosc", 32004: "LZ4", 32008: "Bitshuffle", 32015: "Zstandard", 32026: "Blosc2"}
FIRST_REGISTERED = 256
"""Filters with lower numbers are part of HDF5."""


def read_hdf5(path: Path, camera: str | None = None) -> RawEvents:
    """Events of an HDF5 file; OpzoError if it is damaged, lacks a field, or h5py is missing."""
    try:
        import h5py
    except ImportError:
        raise OpzoError(f"{path}: HDF5 needs the library h5py; pip install 'opzo[events]'") from None
    try:
        # The HDF5 library may loop or crash on a damaged file.
        probe(str(path), path.stat().st_size, lambda: _read(path, h5py.File(path, "r"), camera))
        with h5py.File(path, "r") as file:
            fields, offset, sensor = _read(path, file, camera)
    except OpzoError:
        raise
    except Exception as error:  # h5py raises many types for damaged files.
        raise OpzoError(
            f"{path}: cannot be read as HDF5: {printable(error)}; copy the file again, or write it without special "
            "compression"
        ) from None
    lengths = {name: len(values) for name, values in fields.items()}
    if len(set(lengths.values())) > 1:
        raise OpzoError(f"{path}: truncated: {lengths} values at event {min(lengths.values())}; write the file again")
    # A time above int64 turns negative here, and so runs backwards.
    t, x, y, polarity = (fields[name].astype(np.int64) for name in FIELDS)
    return RawEvents(t + offset, x, y, polarity, sensor, lambda index: f"event {index}")


def _read(path: Path, file: Any, camera: str | None) -> tuple[dict[str, Any], int, tuple[int, int] | None]:
    """All fields, the offset to add to the times, and the sensor size."""
    events = _events(path, file, camera)
    datasets = {name: _dataset(path, events, name) for name in FIELDS}
    check_memory(str(path), sum(COPIES * 8 * dataset.size for dataset in datasets.values()))
    fields = {name: _values(path, dataset, events, name) for name, dataset in datasets.items()}
    return fields, _offset(path, file), _sensor(path, events.attrs) or _sensor(path, file.attrs)


def _events(path: Path, file: Any, camera: str | None) -> Any:
    """Group or dataset with the events of this camera."""
    usual = [(name, found) for name in USUAL if _is_events(found := _at(path, file, name))]
    found = dict([*usual, *_search(path, file, "", DEPTH_MAX)])
    if not found:
        raise OpzoError(
            f"{path}: no events with t, x, y and p (the root has {printable(', '.join(sorted(file))) or 'nothing'}); "
            "write them as datasets events/t, events/x, events/y and events/p"
        )
    return found[choose_camera(path, list(found), camera and (camera.strip("/") or "/"))]


def _search(path: Path, group: Any, prefix: str, depth: int) -> Iterator[tuple[str, Any]]:
    """All groups and datasets below this group that have the fields of events, by path; links are not followed."""
    import h5py

    for name in islice(sorted(group), OBJECTS_MAX):
        if isinstance(group.get(name, getlink=True), h5py.HardLink):
            entry = group[name]
            if _is_events(entry):
                yield f"{prefix}{name}", entry
            elif isinstance(entry, h5py.Group) and depth > 1:
                yield from _search(path, entry, f"{prefix}{name}/", depth - 1)


def _is_events(entry: Any) -> bool:
    names = getattr(getattr(entry, "dtype", None), "names", None) or getattr(entry, "keys", tuple)()
    return set(FIELDS) <= set(names)


def _at(path: Path, group: Any, name: str, links: int = SOFT_LINKS_MAX) -> Any:
    """Object at this path of the file, None if there is none; OpzoError for a link to another file."""
    import h5py

    entry = group.file["/"] if name.startswith("/") else group
    for part in name.split("/"):
        if part in ("", "."):
            continue
        if not isinstance(entry, h5py.Group) or (link := entry.get(part, getlink=True)) is None:
            return None
        if isinstance(link, h5py.SoftLink) and links:
            entry = _at(path, entry, link.path, links - 1)
        elif isinstance(link, h5py.HardLink):
            entry = entry[part]
        else:
            raise OpzoError(
                f"{path}: {printable(part)} is a link to another file, which is not followed; store the events in the "
                "file itself"
            )
    return entry


def _dataset(path: Path, events: Any, name: str) -> Any:
    """Dataset of this field, checked but not read."""
    import h5py

    dataset = _at(path, events, name) if isinstance(events, h5py.Group) else events
    if not isinstance(dataset, h5py.Dataset):
        raise OpzoError(f"{path}: {name} is not a dataset; write it as a dataset of whole numbers")
    if dataset.external or dataset.is_virtual:
        raise OpzoError(
            f"{path}: the values of {name} are in other files, which are not read; store them in the file itself"
        )
    dtype = dataset.dtype if isinstance(events, h5py.Group) else dataset.dtype[name]
    if dataset.shape is None or len(dataset.shape) != 1 or dtype.kind not in "iub":
        raise OpzoError(
            f"{path}: {name} has type {dtype} and shape {dataset.shape}; expected a whole number per event, time in "
            "microseconds"
        )
    # A chunk may be declared larger than all values together.
    check_memory(f"{path}: a chunk of {name}", prod(dataset.chunks or (1,)) * dataset.dtype.itemsize)
    return dataset


def _values(path: Path, dataset: Any, events: Any, name: str) -> Any:
    import h5py

    properties = dataset.id.get_create_plist()
    filters = [properties.get_filter(index)[0] for index in range(properties.get_nfilters())]
    if any(number >= FIRST_REGISTERED for number in filters):
        # The import registers its filters with h5py.
        with contextlib.suppress(ImportError):
            import_module("hdf5plugin")
        missing = [number for number in filters if not h5py.h5z.filter_avail(number)]
        if missing:
            names = ", ".join(FILTERS.get(number, f"filter {number}") for number in missing)
            raise OpzoError(f"{path}: {name} is compressed with {names}; to read it: pip install hdf5plugin")
    return dataset[()] if isinstance(events, h5py.Group) else dataset[name]


def _offset(path: Path, file: Any) -> int:
    """Offset to add to all times, in microseconds."""
    entry = _at(path, file, "t_offset")
    if entry is None:
        return 0
    if getattr(entry, "shape", None) not in ((), (1,)) or entry.dtype.kind not in "iu" or entry.external:
        raise OpzoError(f"{path}: t_offset is not a whole number of microseconds; write it as one")
    offset = int(np.asarray(entry[()]).reshape(-1)[0])
    if abs(offset) > TIME_MAX:
        raise OpzoError(f"{path}: t_offset of {offset} us; the file is damaged: copy it again")
    return offset


def _sensor(path: Path, attributes: Any) -> tuple[int, int] | None:
    sizes = set()
    if "width" in attributes and "height" in attributes:
        sizes.add((int(attributes["width"]), int(attributes["height"])))
    geometry = attributes.get("geometry", "")
    if found := re.fullmatch(
        r"(\d{1,9})x(\d{1,9})", geometry.decode() if isinstance(geometry, bytes) else str(geometry)
    ):
        sizes.add((int(found[1]), int(found[2])))
    if len(sizes) > 1:
        raise OpzoError(f"{path}: two sensor sizes, {' and '.join(map(str, sorted(sizes)))}; correct its attributes")
    return sizes.pop() if sizes else None
