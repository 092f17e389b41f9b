"""CIFAR-10 and CIFAR-100 from their standard files, the "python" version or the "binary" one."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from opzo.host.data.plain_pickle import Array, read_pickle
from opzo.spec.errors import OpzoError
from opzo.spec.messages import reason
from opzo.system.bounds import check_memory
from opzo.system.paths import DATA_ROOT

SHAPE = (3, 32, 32)
PIXELS = 3 * 32 * 32
Arrays = tuple[NDArray[np.uint8], NDArray[np.uint8]]
FILES = {
    "cifar10": (
        ("cifar-10-batches-py", [f"data_batch_{n}" for n in range(1, 6)], ["test_batch"]),
        ("cifar-10-batches-bin", [f"data_batch_{n}.bin" for n in range(1, 6)], ["test_batch.bin"]),
    ),
    "cifar100": (("cifar-100-python", ["train"], ["test"]), ("cifar-100-binary", ["train.bin"], ["test.bin"])),
}
"""Folder, training and test files of both versions."""
LABELS = {"cifar10": (b"labels", 1), "cifar100": (b"fine_labels", 2)}
"""Key of the labels in a pickled file; label bytes before an image in a binary one, of which the last is used."""
CLASSES = {"cifar10": 10, "cifar100": 100}
CIFAR10_NAMES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
WHERE = "'python version' or 'binary version', from Alex Krizhevsky's page"


def read_cifar(name: str, root: str | Path) -> tuple[Arrays, Arrays]:
    """Training and test images (count, 3, 32, 32) and labels (count,); OpzoError if files are missing or damaged.

    ``root`` holds the folder of the files, or is that folder.
    """
    if not root:
        raise OpzoError(f"{name} needs the folder of its files; give {DATA_ROOT}; get {name}, {WHERE}")
    for number, (folder, *parts) in enumerate(FILES[name]):
        # An archive unpacked into a folder of its name contains that folder again.
        places = [
            Path(root) / folder / folder,
            Path(root) / folder,
            *([Path(root)] if Path(root).name == folder else []),
        ]
        base = next((place for place in places if place.is_dir()), None)
        if base is not None:
            read = _binary if number else _pickled
            train, test = ([read(name, base / file) for file in files] for files in parts)
            return _joined(train), _joined(test)
    folders = " or ".join(folder for folder, *_ in FILES[name])
    raise OpzoError(f"there is no {folders} in {root}; get {name}, {WHERE}, and unpack it there")


def _joined(parts: list[Arrays]) -> Arrays:
    pixels, labels = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    return pixels.reshape(-1, *SHAPE), labels


def _pickled(name: str, path: Path) -> Arrays:
    content = _content(path)
    try:
        values = read_pickle(content)
        pixels, labels = values[b"data"], values[LABELS[name][0]]
        if not isinstance(pixels, Array):
            raise ValueError("its images are no array")
        if type(labels) is not list or not all(type(label) is int for label in labels):
            raise ValueError(f"it has labels that are not 0..{CLASSES[name] - 1}")
        return _checked(name, path, pixels.values, np.array(labels, np.int64))
    except OpzoError:
        raise
    # According to the documentation of pickle, a damaged file can raise any exception.
    except Exception as error:
        raise OpzoError(f"{path} is no file of {name} ({reason(error)}); get it again") from None


def _binary(name: str, path: Path) -> Arrays:
    before = LABELS[name][1]
    content = np.frombuffer(_content(path), np.uint8)
    if not len(content) or len(content) % (before + PIXELS):
        raise OpzoError(f"{path} has {len(content)} bytes, no whole number of images; get it again")
    rows = content.reshape(-1, before + PIXELS)
    return _checked(name, path, rows[:, before:], rows[:, before - 1])


def _content(path: Path) -> bytes:
    try:
        if path.exists() and not path.is_file():
            raise OpzoError(f"cannot read {path}: it is not a file; unpack the data set again")
        check_memory(str(path), path.stat().st_size)
        return path.read_bytes()
    except OSError as error:
        raise OpzoError(f"cannot read {path}: {error.strerror}; unpack the data set again") from None


def _checked(name: str, path: Path, pixels: NDArray[Any], labels: NDArray[Any]) -> Arrays:
    if pixels.dtype != np.uint8 or pixels.shape != (labels.size, PIXELS) or not labels.size:
        raise OpzoError(
            f"{path} has images {pixels.dtype} {pixels.shape} for {labels.size} labels, "
            f"where uint8 (count, {PIXELS}) are wanted; get it again"
        )
    if labels.ndim != 1 or labels.dtype.kind not in "iu" or labels.min() < 0 or labels.max() >= CLASSES[name]:
        raise OpzoError(f"{path} has labels that are not 0..{CLASSES[name] - 1}; get it again")
    return pixels, labels.astype(np.uint8)
