"""Images: pixels 0..255 with labels, checked, and as the samples that travel to a device."""

import logging
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from opzo.host.data.class_names import Names
from opzo.host.data.events.event_samples import check_labels
from opzo.host.driver.device import Sample
from opzo.spec.errors import OpzoError
from opzo.spec.events import encode_frame_pairs
from opzo.spec.network import MAX_CLASSES, Network
from opzo.spec.rules import Input

PIXEL_MAX = 255
DARK = 32
"""Images without a brighter pixel are nearly all black to the network: perhaps they have another scale."""
LABEL_MAX = MAX_CLASSES - 1
MOST_CHANNELS = 4
"""An axis of so many entries or fewer holds channels, where the axis at the other end is longer."""
SPIKES = (
    "; spikes (count, steps, inputs) are marked by an array input='spikes' in the .npz file, or made events by "
    "opzo.host.data.events.dense.dense_events(x, y)"
)
Shape = tuple[int, int, int]

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Frames:
    """Images and their labels.

    Parameters
    ----------
    x : uint8 (count, inputs)
        Pixels, in the order in which they were given.
    y : uint8 (count,)
        Labels.
    shape : (channels, height, width) or None
        None where it is not known, as of flat images.
    channels_last : bool
        The pixels of an image are in the order (height, width, channels) instead.
    names : tuple of str
        Of the classes, in order of label; empty where they are unknown.
    """

    x: NDArray[np.uint8]
    y: NDArray[np.uint8]
    shape: Shape | None = None
    channels_last: bool = False
    names: Names = ()
    data_set: str = field(default="", init=False, compare=False)
    """Name of the data set that they are part of, which may have a recipe; '' for none."""
    input: ClassVar[Input] = Input.FRAME

    @classmethod
    def of(
        cls,
        x: ArrayLike,
        y: ArrayLike,
        name: str = "x",
        label_name: str = "y",
        *,
        shape: Shape | None = None,
        as_is: bool = False,
    ) -> "Frames":
        """Frames of arrays of any numeric kind; OpzoError says what does not fit. Images are flattened.

        Parameters
        ----------
        x : (count, pixels), (count, height, width), (count, channels, height, width), (count, height, width, channels)
        y : (count,) or (count, 1)
        shape : (channels, height, width), where ``x`` does not say it
        as_is : bool
            Take values of only 0 and 1 for pixels that are nearly black, as they are.
        """
        array = _numeric(x, name)
        pixels = check_pixels(array, name, as_is=as_is)
        if pixels.max() <= DARK and not as_is:
            logger.warning(
                "%s has no value above %d, where %d is white; scale it if it was meant otherwise",
                name,
                pixels.max(),
                PIXEL_MAX,
            )
        found, last = _layout(array.shape[1:])
        if shape is not None:
            last = last and found == shape
            if np.prod(shape) != pixels.shape[1] or (found not in (None, shape) and array.ndim > 2):
                raise OpzoError(f"{name} has shape {array.shape}, which is not that of images of {shape}")
            found = shape
        return cls(pixels, labels_of(y, len(pixels), label_name, name), found, last)

    def __repr__(self) -> str:
        size = f"{' x '.join(map(str, self.shape))} pixels" if self.shape else f"{self.inputs} pixels"
        return f"<Frames: {len(self):,} images of {size}, {len(np.unique(self.y))} classes>"

    def __len__(self) -> int:
        return len(self.x)

    def samples(self, order: NDArray[np.intp] | None = None) -> Iterator[Sample]:
        """Samples, in this order of indices."""
        for index in range(len(self)) if order is None else order:
            yield Sample((encode_frame(self.x[index]),), int(self.y[index]))

    def dense(self, indices: NDArray[np.intp]) -> NDArray[np.uint8]:
        """Values of the images with these indices, (count, inputs)."""
        return self.x[indices]

    def planes(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Images (count, inputs) of these frames, as (count, channels, height, width); their shape must be known."""
        assert self.shape is not None
        channels, height, width = self.shape
        if self.channels_last:
            return np.moveaxis(pixels.reshape(-1, height, width, channels), -1, 1)
        return pixels.reshape(-1, channels, height, width)

    def flat(self, planes: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """What ``planes`` returned, as it was given: (count, inputs)."""
        ordered = np.moveaxis(planes, 1, -1) if self.channels_last else planes
        return ordered.reshape(len(planes), -1)

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
        """CRC-32 of images, labels and shape."""
        shape = f"{self.x.shape} {self.shape} {self.channels_last}".encode()
        return zlib.crc32(shape, zlib.crc32(self.y.tobytes(), zlib.crc32(self.x.tobytes())))


def encode_frame(frame: NDArray[np.uint8]) -> bytes:
    """Pairs of the pixels that are not 0, in ascending order of address."""
    addresses = np.flatnonzero(frame)
    return encode_frame_pairs(addresses, frame[addresses])


def check_pixels(x: ArrayLike, name: str = "x", *, as_is: bool = False) -> NDArray[np.uint8]:
    """Images as uint8 (count, inputs); OpzoError where they are not pixels 0..255.

    Black and white ones of type bool become 0 and 255; other types with values of only 0 and 1 are refused, unless
    ``as_is``.
    """
    pixels = _numeric(x, name)
    if not 2 <= pixels.ndim <= 4 or pixels.size == 0:
        raise OpzoError(
            f"{name} has shape {pixels.shape}; (count, pixels) or (count, height, width) expected, or with channels "
            f"(count, channels, height, width){SPIKES if pixels.ndim > 4 else ''}"
        )
    if pixels.dtype.kind == "b":
        return pixels.reshape(len(pixels), -1).astype(np.uint8) * np.uint8(PIXEL_MAX)
    low, high = pixels.min(), pixels.max()
    if np.isnan(low):
        raise OpzoError(f"{name} holds NaN; pixels are numbers from 0 to {PIXEL_MAX}")
    if low < 0 or high > PIXEL_MAX:
        raise OpzoError(
            f"{name} has values from {low:g} to {high:g}; pixels are numbers from 0 to {PIXEL_MAX}: scale them to that"
        )
    if high == 1 and not as_is and np.array_equal(pixels, pixels != 0):
        raise OpzoError(
            f"{name} holds only 0 and 1, where {PIXEL_MAX} is white; multiply it by {PIXEL_MAX}, or give it as bool"
            f"{SPIKES if pixels.ndim > 2 else ''}"
        )
    # Values above 1 come from resampling, or from noise that was added.
    if pixels.dtype.kind == "f" and 0 < high < 2 and not as_is:
        raise OpzoError(
            f"{name} is scaled to 0..1; multiply it by {PIXEL_MAX} (its values go to {high:g}: "
            f"numpy.clip({PIXEL_MAX} * x, 0, {PIXEL_MAX}))"
        )
    whole = pixels if pixels.dtype.kind in "iu" else np.rint(pixels)
    return whole.astype(np.uint8).reshape(len(pixels), -1)


def labels_of(y: ArrayLike, count: int, label_name: str = "y", name: str = "x") -> NDArray[np.uint8]:
    """Labels uint8 (count,) of numbers (count,) or (count, 1); OpzoError says what does not fit."""
    try:
        labels = np.asarray(y)
    except ValueError:
        raise OpzoError(f"{label_name} has entries of different shapes; give one label for each of {count}") from None
    if labels.dtype.kind not in "buif":
        raise OpzoError(
            f"{label_name} is of type {labels.dtype}; classes are whole numbers from 0 on: "
            "numpy.unique(y, return_inverse=True)[1] makes such of names"
        )
    if labels.shape == (count, 1):
        labels = labels[:, 0]
    if labels.ndim == 2 and len(labels) == count:
        raise OpzoError(
            f"{label_name} has shape {labels.shape}, as if labels were one-hot; give the number of the class: "
            "y.argmax(axis=1)"
        )
    if labels.shape != (count,):
        raise OpzoError(f"{label_name} has shape {labels.shape}; {name} needs one label for each of {count}")
    wrong = np.flatnonzero(~((labels == np.floor(labels)) & (labels >= 0) & (labels <= LABEL_MAX)))
    if wrong.size:
        raise OpzoError(
            f"{label_name} has label {labels[wrong[0]]} at index {wrong[0]}; it must hold whole numbers from 0 to "
            f"classes - 1, and the chip has at most {MAX_CLASSES} classes (0..{LABEL_MAX})"
        )
    return labels.astype(np.uint8)


def _layout(shape: tuple[int, ...]) -> tuple[Shape | None, bool]:
    """(channels, height, width) of one image of an array, where it can be known, and whether channels come last."""
    if len(shape) == 2:
        (height, width), channels, last = shape, 1, False
    elif len(shape) == 3 and shape[0] <= MOST_CHANNELS < shape[2]:
        (channels, height, width), last = shape, False
    elif len(shape) == 3 and shape[2] <= MOST_CHANNELS < shape[0]:
        (height, width, channels), last = shape, True
    else:
        return None, False
    # One row or column is a flat image with a further axis.
    return (None, False) if 1 in (height, width) else ((channels, height, width), last)


def _numeric(values: ArrayLike, name: str) -> NDArray[Any]:
    try:
        array = np.asarray(values)
    except (ValueError, TypeError):
        raise OpzoError(f"{name} is no array of numbers; give images of one shape, as an array of NumPy") from None
    if array.dtype.kind not in "buif":
        raise OpzoError(f"{name} is of type {array.dtype}; numbers expected")
    return array
