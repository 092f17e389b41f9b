"""Data sets by name or file: labelled training and test samples, either frames or events."""

import logging
from dataclasses import replace
from pathlib import Path

import numpy as np

from opzo.host.data.class_names import class_text
from opzo.host.data.data_set import Data
from opzo.host.data.events.event_samples import Events
from opzo.host.data.events.recorded_data_sets import load_recorded_data
from opzo.host.data.events.saccade import record_images
from opzo.host.data.events.saccade_camera import SaccadeCamera
from opzo.host.data.images.cifar import CIFAR10_NAMES, read_cifar
from opzo.host.data.images.contrast import Contrast
from opzo.host.data.images.frames import PIXEL_MAX, Frames, check_pixels, encode_frame
from opzo.host.data.images.mnist import FASHION_FOLDERS, FASHION_NAMES, MNIST_FILES, WHERE, load_mnist
from opzo.host.data.npz_data_set import load_npz
from opzo.spec.errors import OpzoError
from opzo.spec.messages import no_such
from opzo.system.paths import DATA_ROOT, expanded

__all__ = ["DATA_SETS", "MNIST_FILES", "Data", "Frames", "check_pixels", "encode_frame", "load_data"]

DIGITS_PIXEL_MAX = 16
DIGITS_TEST_EVERY = 5
DIGITS = tuple("0123456789")
SYNTHETIC = "saccade-"
"""Prefix of data sets that a simulated event camera makes from images."""
RECORDED = ("nmnist", "dvs-gesture", "cifar10-dvs")
"""Data sets recorded by event cameras, read from disk."""
CIFAR10 = "cifar10"
DATA_SETS = ("digits", "mnist", "fashion-mnist", CIFAR10, "saccade-digits", "saccade-mnist", *RECORDED)
LISTED_MAX = 5
"""Maximum number of classes that a message lists."""

logger = logging.getLogger(__name__)


def load_data(
    name: str,
    root: str | Path = "",
    *,
    crop: int = 0,
    contrast: Contrast | bool | None = None,
    labels: bool = True,
) -> Data:
    """Load a data set by name or from an ``.npz`` file of images or events.

    Names are ``digits``; ``mnist`` and ``fashion-mnist`` (four IDX files, gzipped or not); ``cifar10`` (its python or
    binary version); ``saccade-digits`` and ``saccade-mnist``, synthetic recordings of those images; and the recordings
    ``nmnist``, ``dvs-gesture`` and ``cifar10-dvs``. OpzoError if an option does not apply to the data set.

    Parameters
    ----------
    name : str
    root : str or Path
        Folder of the data set's files, if it has any.
    crop : int
        Use only the events of the ``crop`` x ``crop`` pixels in the middle of the sensor, before the sensor of a
        recorded data set is reduced; 0: all.
    contrast : Contrast, bool or None
        Whether to code each colour of images by two channels (`opzo.host.data.images.contrast`), with the statistics of
        the training images, or with the given ones. None: only for ``cifar10``.
    labels : bool
        Whether a file must have labels and both parts (`load_npz`).
    """
    if root:
        root = expanded(str(root))
    is_file = name.lower().endswith(".npz")
    # A file may be called saccade-x.npz.
    if name.startswith(SYNTHETIC) and not is_file:
        data = Data(name, *load_saccade(name, root))
    else:
        data = load_npz(expanded(name), labels=labels) if is_file else _load(name, root, crop)
        if labels:
            _warn_of_classes(data)
    if crop and name not in RECORDED:
        data = _cropped(data, crop)
    if contrast is None:
        contrast = name == CIFAR10
    return _by_contrast(data, contrast) if contrast else data


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


def _cropped(data: Data, side: int) -> Data:
    """Data with the events of the middle of the sensor."""
    if not (isinstance(data.train, Events) and isinstance(data.test, Events)):
        raise OpzoError(f"{data.name} has images; crop is for events of a sensor: leave it out (--crop 0)")
    return Data(data.name, data.train.middle(side), data.test.middle(side))


def _by_contrast(data: Data, contrast: Contrast | bool) -> Data:
    """Data whose images have two channels a colour, by statistics of the training images or by those given."""
    if not (isinstance(data.train, Frames) and isinstance(data.test, Frames)):
        raise OpzoError(f"{data.name} has events, which have no colours; leave contrast out (--contrast 0)")
    names = [f"{data.name} ({part})" for part in ("training", "test")]
    train = data.train.by_contrast(contrast if isinstance(contrast, Contrast) else None, names[0])
    return Data(data.name, train, data.test.by_contrast(train.contrast, names[1]))


def _load(name: str, root: str | Path, crop: int) -> Data:
    if name == "digits":
        return _digits()
    if name in RECORDED:
        return Data(name, *load_recorded_data(name, root, crop=crop))
    if name == CIFAR10:
        pairs = zip(read_cifar(name, root), ("training images", "test images"), strict=True)
        return Data(name, *(replace(Frames.of(x, y, what), names=CIFAR10_NAMES) for (x, y), what in pairs))
    if name in ("mnist", "fashion-mnist"):
        if not root:
            raise OpzoError(f"{name} needs the folder of its four IDX files; give {DATA_ROOT}; {WHERE}")
        if name == "fashion-mnist":
            return Data(name, *map(_fashion, load_mnist(Path(root), FASHION_FOLDERS)))
        parts = load_mnist(Path(root))
        # EMNIST comes in files of the same names, with letters.
        names = DIGITS if max(part.y.max() for part in parts) < len(DIGITS) else ()
        return Data(name, *(replace(part, names=names) for part in parts))
    raise no_such("data set", name, DATA_SETS, " or an .npz file")


def _fashion(part: Frames) -> Frames:
    """Images with the class names of Fashion-MNIST."""
    if part.y.max() >= len(FASHION_NAMES):
        raise OpzoError(
            f"label {part.y.max()} is not a class of Fashion-MNIST, which has {len(FASHION_NAMES)}; give its files, or "
            "read others with --data mnist"
        )
    return replace(part, names=FASHION_NAMES)


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
