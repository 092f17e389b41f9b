"""Data sets in ``.npz`` files of arrays: images, or events with an entry for each time step and input."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from opzo.host.data.class_names import names_of_data
from opzo.host.data.data_set import Data
from opzo.host.data.events.dense import dense_events
from opzo.host.data.events.event_files import is_event_file, load_events
from opzo.host.data.events.event_samples import Events
from opzo.host.data.images.frames import Frames
from opzo.host.data.npz import load_arrays
from opzo.host.driver.input_order import Shape
from opzo.spec.errors import OpzoError
from opzo.spec.messages import printable
from opzo.spec.rules import Input

NPZ_ARRAYS = ("x_train", "y_train", "x_test", "y_test")
PARTS = (NPZ_ARRAYS[:2], NPZ_ARRAYS[2:])
"""Arrays of the training and of the test part."""
ONE_PART = ("x", "y")
"""Arrays of a file with samples to predict."""


def load_npz(path: Path, *, labels: bool = True) -> Data:
    """Images or events of an ``.npz`` file.

    Without ``labels`` the arrays y may be missing; the samples are then not ``labelled``. The file may then also have
    one part only, or arrays ``x`` and ``y`` instead, which become both parts.

    Besides NPZ_ARRAYS the file may have ``shape``, three numbers (channels, height, width) for flat images, and
    ``input``: 'frame' accepts pixels of only 0 and 1 as they are; with 'spikes' or 'graded' the arrays x are events
    (count, steps, inputs), as for `opzo.host.data.events.dense.dense_events`.
    """
    needed = f"arrays {', '.join(NPZ_ARRAYS)}" if labels else f"an array {ONE_PART[0]} of samples"
    remedy = f"write it with numpy.savez, as {needed}"
    arrays = load_arrays(path, remedy)
    if is_event_file(arrays):
        events_train, events_test, _ = load_events(path, labels=labels)
        return Data(path.name, events_train, events_test)
    parts = _parts(path, arrays, remedy, labels=labels)
    x_train, x_test = (arrays[x] for x, _ in parts)
    kind = _kind(arrays, path)
    if kind in (Input.SPIKES, Input.GRADED):
        events_train, events_test = (_events(path, arrays, *part, kind) for part in parts)
        if (events_train.shape, events_train.steps) != (events_test.shape, events_test.steps):
            raise OpzoError(f"{path}: {_shapes_differ(x_train, x_test)}")
        return _named(path, events_train, events_test, arrays, remedy)
    train, test = (_frames(path, arrays, *part, as_is=kind is Input.FRAME) for part in parts)
    if train.inputs != test.inputs:
        raise OpzoError(f"{path}: training frames have {train.inputs} pixels, test frames {test.inputs}")
    # Flat images take the shape of the other part.
    if test.shape is None:
        test = replace(test, shape=train.shape, channels_last=train.channels_last)
    elif train.shape is None:
        train = replace(train, shape=test.shape, channels_last=test.channels_last)
    if (train.shape, train.channels_last) != (test.shape, test.channels_last):
        raise OpzoError(f"{path}: {_shapes_differ(x_train, x_test)}")
    return _named(path, train, test, arrays, remedy)


def _parts(
    path: Path, arrays: dict[str, NDArray[Any]], remedy: str, *, labels: bool
) -> tuple[tuple[str, str], tuple[str, str]]:
    """Names of the arrays x and y of the training and of the test part; OpzoError if the file lacks one."""
    if not labels:
        present = [part for part in (*PARTS, ONE_PART) if part[0] in arrays]
        if present:
            return present[0], present[:2][-1]
    missing = [name for name in (NPZ_ARRAYS if labels else ONE_PART[:1]) if name not in arrays]
    if missing:
        found = f" (it has {', '.join(list(arrays)[:8])})" if arrays else ""
        raise OpzoError(f"{path} lacks {', '.join(missing)}{found}; {remedy}")
    return PARTS


def _events(path: Path, arrays: dict[str, NDArray[Any]], x: str, y: str, kind: Input) -> Events:
    """Events of the array ``x``, labelled if there is an array ``y``."""
    labels = arrays[y] if y in arrays else np.zeros(len(np.atleast_1d(arrays[x])))
    return replace(dense_events(arrays[x], labels, kind, f"{x} in {path}", f"{y} in {path}"), labelled=y in arrays)


def _frames(path: Path, arrays: dict[str, NDArray[Any]], x: str, y: str, *, as_is: bool) -> Frames:
    """Images of the array ``x``, labelled if there is an array ``y``."""
    shape, name = _shape(arrays, path), f"{x} in {path}"
    if y not in arrays:
        return Frames.unlabelled(arrays[x], name, shape=shape, as_is=as_is)
    return Frames.of(arrays[x], arrays[y], name, f"{y} in {path}", shape=shape, as_is=as_is)


def _shapes_differ(x_train: NDArray[Any], x_test: NDArray[Any]) -> str:
    return f"x_train has shape {x_train.shape}, x_test {x_test.shape}; only the number of samples may differ"


def _named(
    path: Path, train: Frames | Events, test: Frames | Events, arrays: dict[str, NDArray[Any]], remedy: str
) -> Data:
    """Data with the class names of the file."""
    known = names_of_data(arrays, path, remedy)
    largest = max(train.y.max(), test.y.max())
    if known and largest >= len(known):
        raise OpzoError(f"{path} has label {largest} but only {len(known)} class names; {remedy}")
    return Data(path.name, replace(train, names=known), replace(test, names=known))


def _kind(arrays: dict[str, NDArray[Any]], path: Path) -> Input | None:
    """Input kind of the samples; None if the file does not give it."""
    given = arrays.get("input")
    if given is None:
        return None
    names = [kind.name.lower() for kind in Input]
    if given.shape != () or str(given) not in names:
        raise OpzoError(f"{path}: input is {printable(given)}; expected {', '.join(names)}")
    return Input.parse(str(given))


def _shape(arrays: dict[str, NDArray[Any]], path: Path) -> Shape | None:
    """Shape of one image; None if the file does not give it."""
    given = arrays.get("shape")
    if given is None:
        return None
    if given.shape != (3,) or given.dtype.kind not in "iu" or (given < 1).any():
        raise OpzoError(f"{path}: shape is {printable(given)}; expected three whole numbers: channels, height, width")
    channels, height, width = given.tolist()
    return channels, height, width
