"""Data sets in ``.npz`` files of arrays: images, or events with an entry for each time step and input."""

from dataclasses import replace
from pathlib import Path
from typing import Any

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


def load_npz(path: Path) -> Data:
    """Images or events of an ``.npz`` file.

    Besides NPZ_ARRAYS the file may have ``shape``, three numbers (channels, height, width) for flat images, and
    ``input``: 'frame' accepts pixels of only 0 and 1 as they are; with 'spikes' or 'graded' the arrays x are events
    (count, steps, inputs), as for `opzo.host.data.events.dense.dense_events`.
    """
    remedy = f"write it with numpy.savez, as arrays {', '.join(NPZ_ARRAYS)}"
    arrays = load_arrays(path, remedy)
    if is_event_file(arrays):
        events_train, events_test, _ = load_events(path)
        return Data(path.name, events_train, events_test)
    missing = [name for name in NPZ_ARRAYS if name not in arrays]
    if missing:
        found = f" (it has {', '.join(list(arrays)[:8])})" if arrays else ""
        raise OpzoError(f"{path} lacks {', '.join(missing)}{found}; {remedy}")
    x_train, y_train, x_test, y_test = (arrays[name] for name in NPZ_ARRAYS)
    names = [f"{name} in {path}" for name in NPZ_ARRAYS]
    kind = _kind(arrays, path)
    train: Frames | Events
    test: Frames | Events
    if kind in (Input.SPIKES, Input.GRADED):
        train = dense_events(x_train, y_train, kind, names[0], names[1])
        test = dense_events(x_test, y_test, kind, names[2], names[3])
        if (train.shape, train.steps) != (test.shape, test.steps):
            raise OpzoError(f"{path}: {_shapes_differ(x_train, x_test)}")
        return _named(path, train, test, arrays, remedy)
    shape = _shape(arrays, path)
    train = Frames.of(x_train, y_train, names[0], names[1], shape=shape, as_is=kind is Input.FRAME)
    test = Frames.of(x_test, y_test, names[2], names[3], shape=shape, as_is=kind is Input.FRAME)
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
