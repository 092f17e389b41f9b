"""Data sets for the reference, as batches of tensors, from files on disk.

torchvision is not used, because its wheels work only with one build of PyTorch, which excludes the CPU build.
"""

import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from opzo.host.data.data_sets import DATA_SETS, Frames, load_data
from opzo.host.data.events.event_samples import Events
from opzo.host.data.events.recorded_data_sets import RECORDED_DATA_SETS, load_recorded_data
from opzo.host.data.images.cifar import CLASSES, read_cifar
from opzo.reference.data.augment import Augment, crop, cutout, flip
from opzo.reference.data.imagenet import CLASSES as IMAGENET_CLASSES
from opzo.reference.data.imagenet import SIZE as IMAGENET_SIZE
from opzo.reference.data.imagenet import read_imagenet
from opzo.reference.data.patches import REGIONS, cut_patches
from opzo.spec.errors import OpzoError
from opzo.spec.messages import no_such

PADDING = 4
"""Maximum shift of a random crop in pixels."""
HOLES = {"cifar10": 16, "cifar100": 8}
"""Side length of the holes of cutout (DeVries & Taylor 2017)."""
REFERENCE_DATA_SETS = (*DATA_SETS, "patches", "cifar100", "imagenet")
EVENT_SIZE = (48, 48)
"""Size of DVS-Gesture and CIFAR10-DVS (paper, appendix C.2.1)."""
Indices = NDArray[np.intp]
Arrays = tuple[NDArray[np.uint8], NDArray[np.uint8]]
"""Pixels (count, channels, height, width) and labels (count,)."""


class Part(Protocol):
    """Training or test samples."""

    def __len__(self) -> int:
        """Number of samples."""

    @property
    def digest(self) -> int:
        """CRC-32, compared when a run is resumed."""

    def batch(self, indices: Indices, generator: torch.Generator | None) -> tuple[Tensor, Tensor]:
        """Inputs (samples, steps, channels, height, width) and labels int64 (samples,).

        Images have one step, which is used in all time steps. Augmentation draws from ``generator``; None: no
        augmentation.
        """


@dataclass(frozen=True)
class DataSet:
    """A data set.

    Attributes
    ----------
    shape : (channels, height, width)
    steps : int or None
        Time steps of a sample; None: images.
    mean, std : tuple of float
        Mean and standard deviation of the training pixels 0..255 by channel; images: value = (pixel - mean) / std.
    """

    name: str
    train: Part
    test: Part
    shape: tuple[int, int, int]
    classes: int
    steps: int | None = None
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)

    @property
    def digests(self) -> tuple[int, int]:
        """CRC-32 of the training samples and of the test samples."""
        return self.train.digest, self.test.digest


class Images:
    """Images in memory, normalized by channel and augmented.

    Parameters
    ----------
    pixels : uint8 (count, channels, height, width)
    labels : uint8 (count,)
    mean, std : float32 (channels, 1, 1)
        Mean and standard deviation of the training pixels.
    augment : callable
        Augmentation of normalized training images (samples, channels, height, width).
    """

    def __init__(
        self, pixels: NDArray[np.uint8], labels: NDArray[np.uint8], mean: Tensor, std: Tensor, augment: Augment
    ) -> None:
        self._pixels, self._labels = torch.from_numpy(pixels), torch.from_numpy(labels.astype(np.int64))
        self._mean, self._std, self._augment = mean, std, augment

    def __len__(self) -> int:
        return len(self._labels)

    @property
    def digest(self) -> int:
        """CRC-32 of pixels, shape and labels."""
        crc = zlib.crc32(repr(tuple(self._pixels.shape)).encode())
        for array in (self._pixels, self._labels):
            crc = zlib.crc32(np.ascontiguousarray(array.numpy()).data, crc)
        return crc

    def batch(self, indices: Indices, generator: torch.Generator | None) -> tuple[Tensor, Tensor]:
        """Images and labels, as `Part`."""
        images = (self._pixels[indices].float() - self._mean) / self._std
        if generator is not None:
            images = self._augment(images, generator)
        return images[:, None], self._labels[indices]


class Recordings:
    """Event samples as a frame for each time step.

    Parameters
    ----------
    events : Events
    mean, std : float
        Of the training frames; 0 and 1 leave them as they are.
    augment : callable
        What becomes of training frames (samples, steps * channels, height, width).
    """

    def __init__(self, events: Events, mean: float, std: float, augment: Augment) -> None:
        self._events, self._mean, self._std, self._augment = events, mean, std, augment

    def __len__(self) -> int:
        return len(self._events)

    @property
    def digest(self) -> int:
        """CRC-32 of the events and labels."""
        return self._events.digest

    def batch(self, indices: Indices, generator: torch.Generator | None) -> tuple[Tensor, Tensor]:
        """Frames and labels, as `Part`."""
        dense = self._events.dense(indices).reshape(len(indices), -1, *self._events.shape[1:])
        frames = (torch.from_numpy(dense).float() - self._mean) / self._std
        if generator is not None:
            # The same crop for all time steps of a sample.
            frames = self._augment(frames, generator)
        labels = torch.from_numpy(self._events.y[indices].astype(np.int64))
        return frames.view(len(indices), self._events.steps, *self._events.shape), labels


class Subset:
    """A subset of the samples of a part."""

    def __init__(self, part: Part, count: int) -> None:
        if not 0 < count <= len(part):
            raise OpzoError(f"{count} samples requested of {len(part)}; give 1 to {len(part)}, or none for all")
        self._part, self._indices = part, np.random.default_rng(0).permutation(len(part))[:count]

    def __len__(self) -> int:
        return len(self._indices)

    @property
    def digest(self) -> int:
        """Digest of all samples; their number determines the subset."""
        return self._part.digest

    def batch(self, indices: Indices, generator: torch.Generator | None) -> tuple[Tensor, Tensor]:
        """Inputs and labels, as `Part`."""
        return self._part.batch(self._indices[indices], generator)


def load(name: str, root: str = "", *, train: int | None = None, test: int | None = None) -> DataSet:
    """Load a data set by name; ``root`` is the folder of its files. ``train``, ``test``: sizes of random subsets.

    Names are REFERENCE_DATA_SETS or an ``.npz`` file of images or events; ``patches`` are taken from the photographs of
    scikit-learn. OpzoError if there is no such data set or if files are missing.
    """
    loaders: dict[str, Callable[[], DataSet]] = {
        **{cifar: partial(_cifar, cifar, root) for cifar in HOLES},
        "imagenet": partial(_imagenet, root),
        "patches": _patches,
        **{recorded: partial(_recorded, recorded, root) for recorded in RECORDED_DATA_SETS},
    }
    if name not in REFERENCE_DATA_SETS and not name.endswith(".npz"):
        raise no_such("data set", name, REFERENCE_DATA_SETS, " or an .npz file")
    data = loaders[name]() if name in loaders else _of_host(name, root)
    return replace(
        data,
        train=data.train if train is None else Subset(data.train, train),
        test=data.test if test is None else Subset(data.test, test),
    )


def _of_host(name: str, root: str) -> DataSet:
    """Images and events from the data sets of the host."""
    data = load_data(name, root)
    if isinstance(data.train, Events) and isinstance(data.test, Events):
        return _events(name, data.train, data.test, normalised=False)
    train, test = (_pixels(part) for part in (data.train, data.test))
    return _images(name, train, test, _as_it_is)


def _pixels(frames: Frames | Events) -> Arrays:
    """Frames as images with channels; as rows if their height and width are unknown."""
    assert isinstance(frames, Frames)
    images = frames.x[:, None, None] if frames.shape is None else np.ascontiguousarray(frames.planes(frames.x))
    return images, frames.y


def _as_it_is(images: Tensor, generator: torch.Generator) -> Tensor:
    return images


def _cifar(name: str, root: str) -> DataSet:
    def augment(images: Tensor, generator: torch.Generator) -> Tensor:
        return cutout(flip(crop(images, PADDING, generator), generator), HOLES[name], generator)

    return _images(name, *read_cifar(name, root), augment, CLASSES[name])


def _patches() -> DataSet:
    return _images("patches", *cut_patches(), flip, REGIONS)


def _images(name: str, train: Arrays, test: Arrays, augment: Augment, classes: int | None = None) -> DataSet:
    """Data set of pixels and labels, normalized by mean and standard deviation of the training pixels."""
    (pixels, labels), (_, test_labels) = train, test
    mean = pixels.mean((0, 2, 3), dtype=np.float64)[:, None, None]
    std = pixels.std((0, 2, 3), dtype=np.float64)[:, None, None]
    if not std.all():
        raise OpzoError(f"all training pixels of {name} are equal; give other images")
    scale = (torch.from_numpy(mean.astype(np.float32)), torch.from_numpy(std.astype(np.float32)))
    found = 1 + int(max(labels.max(), test_labels.max()))
    shape = (pixels.shape[1], pixels.shape[2], pixels.shape[3])
    parts = [Images(*part, *scale, augment) for part in (train, test)]
    figures = [tuple(values.flatten().tolist()) for values in (mean, std)]
    return DataSet(name, parts[0], parts[1], shape, classes or found, None, *figures)


def _imagenet(root: str) -> DataSet:
    shape = (3, IMAGENET_SIZE, IMAGENET_SIZE)
    return DataSet("imagenet", *read_imagenet(root), shape, IMAGENET_CLASSES)


def _recorded(name: str, root: str) -> DataSet:
    binning = RECORDED_DATA_SETS[name].binning
    if binning.size:
        binning = replace(binning, size=EVENT_SIZE, counts=True)
    train, test = load_recorded_data(name, root, binning=binning)
    return _events(name, train, test, normalised=name == "cifar10-dvs")


def _events(name: str, train: Events, test: Events, *, normalised: bool) -> DataSet:
    """Data set of events; if normalized, training frames are also cropped at random."""
    mean, std = 0.0, 1.0
    if normalised:
        values = np.ones(len(train.addresses)) if train.values is None else train.values.astype(np.float64)
        moments = len(train) * train.steps * train.inputs
        mean = values.sum() / moments
        std = float(np.sqrt((values**2).sum() / moments - mean**2))
    augment = _shifted if normalised else _as_it_is
    parts = [Recordings(part, mean, std, augment) for part in (train, test)]
    return DataSet(name, parts[0], parts[1], train.shape, 1 + int(max(train.y.max(), test.y.max())), train.steps)


def _shifted(frames: Tensor, generator: torch.Generator) -> Tensor:
    return crop(frames, PADDING, generator)
