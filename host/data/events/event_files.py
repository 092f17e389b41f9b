"""Event files, opzo's own format for an event data set: an .npz file with a training and a test part.

Arrays: ``format`` ("opzo events") and ``version`` (1); ``shape`` (channels, height, width); ``description``, free text
on the origin of the events; optionally ``classes``, up to 64 class names in order of label; and for each part, prefixed
``train_`` and ``test_``, ``addresses`` (uint16), ``offsets`` (int64, (count, steps + 1)), ``y`` (uint8), and for graded
events ``values`` (uint8), as in ``opzo.host.data.events.event_samples.Events``.
"""

from io import BytesIO
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from opzo.host.data.class_names import CLASSES, CLASSES_MAX, Names, names_of_data
from opzo.host.data.events.event_samples import Events
from opzo.host.data.npz import load_arrays
from opzo.spec.errors import OpzoError
from opzo.system.atomic import write_atomically

FORMAT, VERSION = "opzo events", 1
PARTS = ("train", "test")
COLUMNS = {"addresses": np.uint16, "offsets": np.int64, "y": np.uint8}
VALUES = "values"
ADDRESSES = 1 << 16
"""Addresses are uint16."""
STEPS_MAX = 1 << 15
REMEDY = "write it with opzo data convert"


def save_events(path: Path, train: Events, test: Events, description: str) -> None:
    """Write both parts to ``path`` atomically; OpzoError if their shapes, time steps or input kinds differ."""
    _check_parts(path, train, test)
    arrays: dict[str, Any] = {"format": FORMAT, "version": VERSION, "shape": train.shape, "description": description}
    if train.names:
        arrays[CLASSES] = train.names
    for part, events in zip(PARTS, (train, test), strict=True):
        arrays |= {f"{part}_{name}": getattr(events, name) for name in COLUMNS}
        if events.values is not None:
            arrays[f"{part}_{VALUES}"] = events.values
    file = BytesIO()
    np.savez_compressed(file, **arrays)
    write_atomically(path, file.getvalue())


def load_events(path: Path, *, labels: bool = True) -> tuple[Events, Events, str]:
    """Training part, test part and description; OpzoError if ``path`` is missing, damaged or not an event file.

    Without ``labels`` the arrays ``y`` may be missing; the events are then not ``labelled``.
    """
    arrays = load_arrays(path, REMEDY)
    if not is_event_file(arrays):
        raise OpzoError(f"{path} is not an event file (it has {', '.join(arrays) or 'no arrays'}); {REMEDY}")
    version = arrays.get("version")
    if version is None or version.shape != () or version.item() != VERSION:
        raise OpzoError(f"{path} is an event file of version {version}; this opzo reads version {VERSION}; {REMEDY}")
    needed = ["shape", "description", *(f"{part}_{name}" for part in PARTS for name in COLUMNS)]
    missing = [name for name in needed if name not in arrays and (labels or not name.endswith("_y"))]
    if missing:
        raise OpzoError(f"{path} lacks {', '.join(missing)}; {REMEDY}")
    shape = arrays["shape"]
    if shape.shape != (3,) or shape.dtype.kind not in "iu" or (shape < 1).any():
        raise OpzoError(f"{path}: shape is {shape.tolist()}; expected three whole numbers, 1 or more; {REMEDY}")
    if prod(shape.tolist()) > ADDRESSES:
        raise OpzoError(f"{path}: shape is {shape.tolist()}; events have at most {ADDRESSES} addresses; {REMEDY}")
    if arrays["description"].shape != () or arrays["description"].dtype.kind != "U":
        raise OpzoError(f"{path}: description is not a string; {REMEDY}")
    classes = names_of_data(arrays, path, REMEDY)
    train, test = (_part(path, arrays, part, classes) for part in PARTS)
    _check_parts(path, train, test)
    largest = max(train.y.max(), test.y.max())
    if train.steps > STEPS_MAX or largest >= CLASSES_MAX:
        raise OpzoError(
            f"{path} has {train.steps} time steps per sample and label {largest}; the maximum is {STEPS_MAX} steps and "
            f"label {CLASSES_MAX - 1}; {REMEDY}"
        )
    return train, test, str(arrays["description"])


def is_event_file(arrays: dict[str, NDArray[Any]]) -> bool:
    """Whether these are the arrays of an event file of any version."""
    mark = arrays.get("format")
    return mark is not None and mark.shape == () and str(mark) == FORMAT


def _part(path: Path, arrays: dict[str, NDArray[Any]], part: str, classes: Names) -> Events:
    names = {name: f"{part}_{name}" for name in (*COLUMNS, VALUES)}
    labelled = names["y"] in arrays
    if not labelled:
        arrays = arrays | {names["y"]: np.zeros(arrays[names["offsets"]].shape[:1], np.uint8)}
    for name, dtype in COLUMNS.items():
        if arrays[names[name]].dtype != dtype:
            found = arrays[names[name]].dtype
            raise OpzoError(f"{path}: {names[name]} is of type {found}, not {np.dtype(dtype)}; {REMEDY}")
    values = arrays.get(names[VALUES])
    if values is not None and values.ndim != 1:
        raise OpzoError(f"{path}: {names[VALUES]} has shape {values.shape}; expected a value per event; {REMEDY}")
    channels, height, width = map(int, arrays["shape"])
    return Events(
        addresses=arrays[names["addresses"]],
        offsets=arrays[names["offsets"]],
        y=arrays[names["y"]],
        shape=(channels, height, width),
        values=values,
        name=f"{path} ({part})",
        names=classes,
        labelled=labelled,
    )


def _check_parts(path: Path, train: Events, test: Events) -> None:
    kinds = [(part.shape, part.steps, part.graded) for part in (train, test)]
    if kinds[0] != kinds[1]:
        texts = [f"{shape}, {steps} time steps, {'graded' if graded else 'spikes'}" for shape, steps, graded in kinds]
        raise OpzoError(f"{path}: training events are {texts[0]}, test events {texts[1]}; convert both the same way")
