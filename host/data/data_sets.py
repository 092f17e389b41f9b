"""Data sets by name or file: labelled training and test samples, either frames or events."""

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from opzo.host.data.class_names import class_text, names_of_data
from opzo.host.data.data_set import Data
from opzo.host.data.events.dense import dense_events
from opzo.host.data.events.event_files import is_event_file, load_events
from opzo.host.data.events.event_samples import Events
from opzo.host.data.events.recorded_data_sets import load_recorded_data
from opzo.host.data.events.saccade import record_images
from opzo.host.data.events.saccade_camera import SaccadeCamera
from opzo.host.data.images.frames import PIXEL_MAX, Frames, Shape, check_pixels, encode_frame
from opzo.host.data.images.mnist import MNIST_FILES, WHERE, load_mnist
from opzo.host.data.npz import load_arrays
from opzo.spec.errors import OpzoError
from opzo.spec.messages import no_such, printable
from opzo.spec.rules import Input
from opzo.system.paths import DATA_ROOT, expanded

__all__ = ["DATA_SETS", "MNIST_FILES", "Data", "Frames", "check_pixels", "encode_frame", "load_data"]

NPZ_ARRAYS = ("x_train", "y_train", "x_test", "y_test")
DIGITS_PIXEL_MAX = 16
DIGITS_TEST_EVERY = 5
DIGITS = tuple("0123456789")
SYNTHETIC = "saccade-"
"""Prefix of data sets that a simulated event camera makes from images."""
RECORDED = ("nmnist", "dvs-gesture", "cifar10-dvs")
"""Data sets recorded by event cameras, read from disk."""
DATA_SETS = ("digits", "mnist", "saccade-digits", "saccade-mnist", *RECORDED)
LISTED_MAX = 5
"""Maximum number of classes that a message lists."""

logger = logging.getLogger(__name__)


def load_data(name: str, root: str | Path = "") -> Data:
    """Load a data set by name or from an ``.npz`` file of images or events.

    Names are ``digits``; ``mnist`` (four IDX files, gzipped or not); ``saccade-digits`` and ``saccade-mnist``,
    synthetic recordings of those images; and the recordings ``nmnist``, ``dvs-gesture`` and ``cifar10-dvs``. ``root``
    is the folder of the data set's files, if it has any.
    """
    if root:
        root = expanded(str(root))
    is_file = name.lower().endswith(".npz")
    # A file may be called saccade-x.npz.
    if name.startswith(SYNTHETIC) and not is_file:
        return Data(name, *load_saccade(name, root))
    data = _npz(expanded(name)) if is_file else _load(name, root)
    _warn_of_classes(data)
    return data


def load_saccade(name: str, root: str | Path = "", camera: SaccadeCamera | None = None) -> tuple[Events, Events]:
    """Training and test recordings of ``saccade-digits``, ``saccade-mnist`` or ``saccade-FILE.npz``.

    The images are those of ``load_data(name after "saccade-", root)``.
    """
    if not name.startswith(SYNTHETIC):
        raise no_such("synthetic event data set", name, ("saccade-digits", "saccade-mnist"))
    data = load_data(name.removeprefix(SYNTHETIC), root)
    if not (isinstance(data.train, Frames) and isinstance(data.test, Frames)):
        raise OpzoError(f"{data.name} has events, not images; choose saccade-digits or saccade-mnist")
    return record_images(data.train, data.test, data.name, camera or SaccadeCamera())


def _load(name: str, root: str | Path) -> Data:
    if name == "digits":
        return _digits()
    if name in RECORDED:
        return Data(name, *load_recorded_data(name, root))
    if name == "mnist":
        if not root:
            raise OpzoError(f"mnist needs the folder of its four IDX files; give {DATA_ROOT}; {WHERE}")
        parts = load_mnist(Path(root))
        # EMNIST comes in files of the same names, with letters.
        names = DIGITS if max(part.y.max() for part in parts) < len(DIGITS) else ()
        return Data(name, *(replace(part, names=names) for part in parts))
    raise no_such("data set", name, DATA_SETS, " or an .npz file")


def _warn_of_classes(data: Data) -> None:
    """Warn of classes that only one part has, and of labels that do not start at 0."""
    train, test = (set(np.unique(part.y).tolist()) for part in (data.train, data.test))
    for classes, what in (
        (test - train, "test samples but no training samples, so the network cannot learn them"),
        (train - test, "training samples but no test samples, so the test accuracy does not cover them"),
    ):
        if classes:
            names = ", ".join(class_text(label, data.names) for label in sorted(classes)[:LISTED_MAX])
            more = " ..." if len(classes) > LISTED_MAX else ""
            logger.warning("%s: %d classes (%s%s) have %s", data.name, len(classes), names, more, what)
    if first := min(train | test):
        logger.warning("%s: labels start at %d instead of 0, so classes below %d are unused", data.name, first, first)


def _digits() -> Data:
    from sklearn.datasets import load_digits

    digits = load_digits()
    pixels = np.rint(digits.images * (PIXEL_MAX / DIGITS_PIXEL_MAX))
    test = np.arange(len(pixels)) % DIGITS_TEST_EVERY == DIGITS_TEST_EVERY - 1
    parts = (Frames.of(pixels[part], digits.target[part]) for part in (~test, test))
    return Data("digits", *(replace(part, names=DIGITS) for part in parts))


def _npz(path: Path) -> Data:
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
