"""Event files, opzo's own format for an event data set: an .npz file with a training and a test part.

`Events.save` may leave the test part out; such a file is no data set for training, but `Events.load` reads it.

Arrays: ``format`` ("opzo events") and ``version`` (1); ``shape`` (channels, height, width); ``description``, free text
on the origin of the events; optionally ``classes``, up to 64 class names in order of label; and for each part, prefixed
``train_`` and ``test_``, ``addresses`` (uint16), ``offsets`` (int64, (count, steps + 1)), ``y`` (uint8), and for graded
events ``values`` (uint8), as in ``opzo.host.data.events.event_samples.Events``.
"""

from collections.abc import Sequence
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
from opzo.spec.messages import printable
from opzo.system.atomic import write_atomically

FORMAT, VERSION = "opzo events", 1
PARTS = ("train", "test")
COLUMNS = {"addresses": np.uint16, "offsets": np.int64, "y": np.uint8}
VALUES = "values"
ADDRESSES = 1 << 16
"""Addresses are uint16."""
STEPS_MAX = 1 << 15
REMEDY = "write it with opzo data convert"


def save_events(path: Path, train: Events, test: Events | None, description: str) -> None:
    """Write both parts, or only the training part, to ``path`` atomically.

    OpzoError if their shapes, time steps or input kinds differ. Events without labels get no array ``y``.
    """
    parts = dict(zip(PARTS, (train, test), strict=True))
    if test is not None:
        _check_parts(path, train, test)
    arrays: dict[str, Any] = {"format": FORMAT, "version": VERSION, "shape": train.shape, "description": description}
    if train.names:
        arrays[CLASSES] = train.names
    for part, events in parts.items():
        if events is None:
            continue
        arrays |= {f"{part}_{name}": getattr(events, name) for name in COLUMNS if events.labelled or name != "y"}
        if events.values is not None:
            arrays[f"{part}_{VALUES}"] = events.values
    file = BytesIO()
    np.savez_compressed(file, **arrays)
    write_atomically(path, file.getvalue())


def load_events(path: Path, *, labels: bool = True) -> tuple[Events, Events, str]:
    """Training part, test part and description; OpzoError if ``path`` is missing, damaged or not an event file.

    Without ``labels`` the arrays ``y`` may be missing; the events are then not ``labelled``.
    """
    (train, test), description = _load(path, PARTS, labels=labels)
    _check_parts(path, train, test)
    return train, test, description


def load_part(path: Path, part: str) -> Events:
    """One of PARTS, labelled or not, of a file that may lack the other one; OpzoError as `load_events`."""
    (events,), _ = _load(path, (part,), labels=False)
    return events


def _load(path: Path, parts: Sequence[str], *, labels: bool) -> tuple[list[Events], str]:
    """These parts, and the description."""
    arrays = load_arrays(path, REMEDY)
    if not is_event_file(arrays):
        raise OpzoError(f"{path} is not an event file (it has {', '.join(arrays) or 'no arrays'}); {REMEDY}")
    version = arrays.get("version")
    if version is None or version.shape != () or version.item() != VERSION:
        found = printable(version)
        raise OpzoError(f"{path} is an event file of version {found}; this opzo reads version {VERSION}; {REMEDY}")
    needed = ["shape", "description", *(f"{part}_{name}" for part in parts for name in COLUMNS)]
    missing = [name for name in needed if name not in arrays and (labels or not name.endswith("_y"))]
    if missing:
        if len(parts) > 1 and not any(name.startswith(PARTS[1]) for name in arrays):
            raise OpzoError(f"{path} has no test part; write it with opzo data convert, or train.save(path, test=test)")
        raise OpzoError(f"{path} lacks {', '.join(missing)}; {REMEDY}")
    shape = arrays["shape"]
    if shape.shape != (3,) or shape.dtype.kind not in "iu" or (shape < 1).any():
        raise OpzoError(f"{path}: shape is {shape.tolist()}; expected three whole numbers, 1 or more; {REMEDY}")
    if prod(shape.tolist()) > ADDRESSES:
        raise OpzoError(f"{path}: shape is {shape.tolist()}; events have at most {ADDRESSES} addresses; {REMEDY}")
    if arrays["description"].shape != () or arrays["description"].dtype.kind != "U":
        raise OpzoError(f"{path}: description is not a string; {REMEDY}")
    classes = names_of_data(arrays, path, REMEDY)
    loaded = [_part(path, arrays, part, classes) for part in parts]
    largest, steps = max(events.y.max() for events in loaded), max(events.steps for events in loaded)
    if steps > STEPS_MAX or largest >= CLASSES_MAX:
        raise OpzoError(
            f"{path} has {steps} time steps per sample and label {largest}; the maximum is {STEPS_MAX} steps and "
            f"label {CLASSES_MAX - 1}; {REMEDY}"
        )
    return loaded, str(arrays["description"])


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
