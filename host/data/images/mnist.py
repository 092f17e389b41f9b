"""The four files of MNIST or of a related set (Fashion-MNIST, KMNIST, EMNIST), under the names that mirrors use."""

import re
from pathlib import Path

from opzo.host.data.images.frames import Frames
from opzo.host.data.images.idx import read_idx
from opzo.spec.errors import OpzoError
from opzo.spec.messages import printable
from opzo.system.litter import is_litter

MNIST_FILES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
WHERE = (
    "get train-images-idx3-ubyte.gz and the other three from a mirror of MNIST, such as "
    "https://ossci-datasets.s3.amazonaws.com/mnist, or with torchvision.datasets.MNIST(DIR, download=True); those of "
    "Fashion-MNIST are in data/fashion of https://github.com/zalandoresearch/fashion-mnist"
)
Folders = tuple[tuple[str, ...], ...]
FOLDERS: Folders = (
    ("",),
    ("raw",),
    ("MNIST/raw",),
    ("MNIST",),
    ("gzip",),
    ("FashionMNIST/raw", "KMNIST/raw", "EMNIST/raw"),
)
"""Subfolders to search, those of torchvision and NIST included; the first one with the files is used."""
FASHION_FOLDERS = (("FashionMNIST/raw",), ("fashion-mnist",), ("data/fashion",), ("",), ("raw",))
"""Subfolders to search for Fashion-MNIST, those of torchvision and of its own repository included."""
FASHION_NAMES = (
    *("T-shirt/top", "trouser", "pullover", "dress", "coat"),
    *("sandal", "shirt", "sneaker", "bag", "ankle boot"),
)
_TRAINING_IMAGES = re.compile(r"(.*?)train-images[-.]idx3-ubyte(\.gz)?")
"""Name of the file of training images; EMNIST has a prefix, as in ``emnist-balanced-train-images-idx3-ubyte.gz``."""


def load_mnist(root: Path, folders: Folders = FOLDERS) -> tuple[Frames, Frames]:
    """Training and test images from the four files in ``root`` or in one of the subfolders ``folders`` of it.

    ``root`` is a folder; if that contains several data sets, append the prefix of the file names, as in
    ``EMNIST/raw/emnist-letters``. OpzoError if a file is missing or damaged, or if the choice is ambiguous.
    """
    folder, prefix = _find(root, folders)
    arrays = [
        read_idx(_file(folder, prefix, name), dimensions)
        for name, dimensions in zip(MNIST_FILES, (3, 1, 3, 1), strict=True)
    ]
    x_train, y_train, x_test, y_test = arrays
    if x_train.shape[1:] != x_test.shape[1:]:
        raise OpzoError(
            f"{folder}: training images are {x_train.shape[1:]} pixels, test images {x_test.shape[1:]}; "
            "give the files of one data set"
        )
    return Frames.of(x_train, y_train, *MNIST_FILES[:2]), Frames.of(x_test, y_test, *MNIST_FILES[2:])


def _find(root: Path, tiers: Folders) -> tuple[Path, str]:
    """Folder of the files, and the prefix of their names."""
    base, wanted = (root, None) if root.is_dir() else (root.parent, root.name)
    found: list[tuple[Path, str]] = []
    for folders in tiers:
        held = [(base / folder, prefix) for folder in folders for prefix in _prefixes(base / folder)]
        found = found or [
            (place, prefix) for place, prefix in held if wanted is None or prefix.rstrip("-") == wanted.rstrip("-")
        ]
    if not found:
        what = f"there is no {MNIST_FILES[0]}[.gz] in {root}" if base.is_dir() else f"there is no folder {base}"
        raise OpzoError(f"{what}; give the folder of the four MNIST files; {WHERE}")
    if len(found) > 1:
        places = [printable(place / prefix.rstrip("-") if prefix else place) for place, prefix in found]
        raise OpzoError(f"{root} contains several data sets; give --data-root {' or '.join(places)}")
    return found[0]


def _prefixes(place: Path) -> list[str]:
    """Prefixes of the files of training images in this folder."""
    try:
        names = [path.name for path in place.iterdir() if not is_litter(path)] if place.is_dir() else []
    except OSError as error:
        raise OpzoError(f"cannot read {place}: {error.strerror}; give another folder") from None
    return sorted({match[1] for name in names if (match := _TRAINING_IMAGES.fullmatch(name))})


def _file(folder: Path, prefix: str, name: str) -> Path:
    """Path of one of MNIST_FILES under any of its names; OpzoError if there is none."""
    stems = [prefix + name, prefix + name.replace("-idx", ".idx")]
    # EMNIST names them test.
    stems += [stem.replace(f"{prefix}t10k", f"{prefix}test") for stem in stems]
    candidates = [folder / f"{stem}{suffix}" for stem in stems for suffix in ("", ".gz")]
    for path in candidates:
        # Some archives unpack to folders that have the names of the files.
        inner = [path / other.name for other in candidates] if path.is_dir() else [path]
        for one in inner:
            if one.is_file():
                return one
    raise OpzoError(f"there is no {prefix}{name}[.gz] in {folder}; give the folder of the four MNIST files; {WHERE}")
