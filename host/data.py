"""Data sets: frames of pixels 0..255, or events, with labels, checked, and as the samples that travel to a device."""

import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from opzo.host.class_names import Names, names_of_data
from opzo.host.device import Sample
from opzo.host.event_files import is_event_file, load_events
from opzo.host.events import Events, check_labels
from opzo.host.idx import read_idx
from opzo.host.npz import load_arrays
from opzo.spec.errors import OpzoError
from opzo.spec.events import encode_frame_pairs
from opzo.spec.network import Input, Network

MNIST_FILES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
NPZ_ARRAYS = ("x_train", "y_train", "x_test", "y_test")
PIXEL_MAX = 255
DIGITS_PIXEL_MAX = 16
DIGITS_TEST_EVERY = 5
DIGITS = tuple("0123456789")
LABEL_MAX = 63
"""The chip has at most 64 classes."""
SYNTHETIC = "saccade-"
"""Begins the names of data sets that a simulated camera makes of others."""
RECORDED = ("nmnist", "dvs-gesture", "cifar10-dvs")
"""Recordings of event cameras, from files on disk."""
DATA_SETS = ("digits", "mnist", "saccade-digits", "saccade-mnist", *RECORDED)


@dataclass(frozen=True)
class Frames:
    """Images and their labels: uint8 (count, inputs) and uint8 (count,); names of the classes, where they are known."""

    x: NDArray[np.uint8]
    y: NDArray[np.uint8]
    names: Names = ()
    input: ClassVar[Input] = Input.FRAME

    @classmethod
    def of(cls, x: ArrayLike, y: ArrayLike, name: str = "x", label_name: str = "y") -> "Frames":
        """Frames of arrays of any numeric kind; OpzoError says what does not fit. Images are flattened."""
        pixels = check_pixels(x, name)
        labels = _numeric(y, label_name)
        if labels.shape != (len(pixels),):
            raise OpzoError(f"{label_name} has shape {labels.shape}; {name} needs one label for each of {len(pixels)}")
        if not np.array_equal(labels, np.floor(labels)) or labels.min() < 0 or labels.max() > LABEL_MAX:
            raise OpzoError(f"{label_name} must hold whole numbers from 0 to classes - 1 (at most {LABEL_MAX})")
        return cls(pixels, labels.astype(np.uint8))

    def __len__(self) -> int:
        return len(self.x)

    def samples(self, order: NDArray[np.intp] | None = None) -> Iterator[Sample]:
        """Samples, in this order of indices."""
        for index in range(len(self)) if order is None else order:
            yield Sample((encode_frame(self.x[index]),), int(self.y[index]))

    def dense(self, indices: NDArray[np.intp]) -> NDArray[np.uint8]:
        """Values of the images with these indices, (count, inputs)."""
        return self.x[indices]

    def check(self, network: Network, name: str) -> None:
        """Raise OpzoError where ``network`` does not fit the frames."""
        if network.input is not self.input:
            raise OpzoError(f"{name} are frames; the network is one for {network.input.name.lower()} in time")
        if self.inputs != network.inputs:
            raise OpzoError(f"{name} has {self.inputs} pixels a frame; network {network} has {network.inputs} inputs")
        check_labels(self.y, network, name)

    @property
    def inputs(self) -> int:
        """Pixels a frame."""
        return int(self.x.shape[1])

    @property
    def digest(self) -> int:
        """CRC-32 of images and labels."""
        return zlib.crc32(self.y.tobytes(), zlib.crc32(self.x.tobytes()))


@dataclass(frozen=True)
class Data:
    """A data set: training and test samples, both of the same kind."""

    name: str
    train: Frames | Events
    test: Frames | Events

    def check(self, network: Network) -> None:
        """Raise OpzoError where ``network`` does not fit the data."""
        self.train.check(network, f"{self.name} (training)")
        self.test.check(network, f"{self.name} (test)")

    @property
    def names(self) -> Names:
        """Names of the classes, in order of label; empty where they are unknown."""
        return self.train.names

    @property
    def digest(self) -> int:
        """CRC-32 of the training samples, in order: tells whether a resumed run has the same ones."""
        return self.train.digest


def encode_frame(frame: NDArray[np.uint8]) -> bytes:
    """Pairs of the pixels that are not 0, in ascending order of address."""
    addresses = np.flatnonzero(frame)
    return encode_frame_pairs(addresses, frame[addresses])


def check_pixels(x: ArrayLike, name: str = "x") -> NDArray[np.uint8]:
    """Images as uint8 (count, inputs); OpzoError where they are not pixels 0..255."""
    pixels = _numeric(x, name)
    if pixels.ndim < 2 or pixels.size == 0:
        raise OpzoError(f"{name} has shape {pixels.shape}; (count, pixels) or (count, height, width) expected")
    if np.isnan(pixels).any():
        raise OpzoError(f"{name} holds NaN; pixels are numbers from 0 to {PIXEL_MAX}")
    low, high = pixels.min(), pixels.max()
    if low < 0 or high > PIXEL_MAX:
        raise OpzoError(f"{name} has values from {low:g} to {high:g}; pixels are numbers from 0 to {PIXEL_MAX}")
    if pixels.dtype.kind == "f" and 0 < high <= 1:
        raise OpzoError(f"{name} is scaled to 0..1; multiply it by {PIXEL_MAX}")
    frames: NDArray[np.uint8] = np.rint(pixels).astype(np.uint8).reshape(len(pixels), -1)
    return frames


def load_data(name: str, root: str | Path = "") -> Data:
    """Data set by name; ``root`` is the folder of its files, where it has any.

    ``digits``; ``mnist`` (four IDX files, gzipped or not); the synthetic recordings ``saccade-digits`` and
    ``saccade-mnist`` (of the same files); the recordings ``nmnist``, ``dvs-gesture`` and ``cifar10-dvs``; an ``.npz``
    file of images or of events.
    """
    if name.lower().endswith(".npz"):
        # Before all names: a file may be called saccade-x.npz.
        return _npz(Path(name))
    if name == "digits":
        return _digits()
    if name.startswith(SYNTHETIC):
        from opzo.host.saccade import load_saccade

        return Data(name, *load_saccade(name, root))
    if name in RECORDED:
        from opzo.host.event_data import load_event_data

        return Data(name, *load_event_data(name, root))
    if name == "mnist":
        if not root:
            raise OpzoError("mnist needs the folder of its four IDX files; give --data-root DIR")
        return _mnist(Path(root))
    raise OpzoError(f"there is no data set '{name}'; choose {', '.join(DATA_SETS)} or an .npz file")


def _digits() -> Data:
    from sklearn.datasets import load_digits

    digits = load_digits()
    pixels = np.rint(digits.data * (PIXEL_MAX / DIGITS_PIXEL_MAX))
    test = np.arange(len(pixels)) % DIGITS_TEST_EVERY == DIGITS_TEST_EVERY - 1
    parts = (Frames.of(pixels[part], digits.target[part]) for part in (~test, test))
    return Data("digits", *(replace(part, names=DIGITS) for part in parts))


def _mnist(root: Path) -> Data:
    arrays = []
    for name, dimensions in zip(MNIST_FILES, (3, 1, 3, 1), strict=True):
        candidates = [root / name, root / f"{name}.gz"]
        path = next((path for path in candidates if path.exists()), None)
        if path is None:
            raise OpzoError(f"there is no {name}[.gz] in {root}; give the folder of the four MNIST files")
        arrays.append(read_idx(path, dimensions))
    x_train, y_train, x_test, y_test = arrays
    parts = Frames.of(x_train, y_train, *MNIST_FILES[:2]), Frames.of(x_test, y_test, *MNIST_FILES[2:])
    # EMNIST comes in files of the same names, with letters.
    names = DIGITS if max(part.y.max() for part in parts) < len(DIGITS) else ()
    return Data("mnist", *(replace(part, names=names) for part in parts))


def _npz(path: Path) -> Data:
    remedy = f"write it with numpy.savez, as arrays {', '.join(NPZ_ARRAYS)}"
    arrays = load_arrays(path, remedy)
    if is_event_file(arrays):
        events_train, events_test, _ = load_events(path)
        return Data(path.name, events_train, events_test)
    missing = [name for name in NPZ_ARRAYS if name not in arrays]
    if missing:
        raise OpzoError(f"{path} lacks {', '.join(missing)}; {remedy}")
    x_train, y_train, x_test, y_test = (arrays[name] for name in NPZ_ARRAYS)
    names = [f"{name} in {path}" for name in NPZ_ARRAYS]
    train = Frames.of(x_train, y_train, names[0], names[1])
    test = Frames.of(x_test, y_test, names[2], names[3])
    if train.x.shape[1] != test.x.shape[1]:
        raise OpzoError(f"{path}: training frames have {train.x.shape[1]} pixels, test frames {test.x.shape[1]}")
    known = names_of_data(arrays, path, remedy)
    largest = max(train.y.max(), test.y.max())
    if known and largest >= len(known):
        raise OpzoError(f"{path} has label {largest} and {len(known)} names of classes; {remedy}")
    return Data(path.name, replace(train, names=known), replace(test, names=known))


def _numeric(values: ArrayLike, name: str) -> NDArray[Any]:
    array = np.asarray(values)
    if array.dtype.kind not in "buif":
        raise OpzoError(f"{name} is of type {array.dtype}; numbers expected")
    return array
