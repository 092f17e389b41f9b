"""Images: pixels 0..255 with labels, checked, and encoded as samples for a device."""

from __future__ import annotations

import logging
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from math import prod
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from opzo.host.data.class_names import Names
from opzo.host.data.images.contrast import Contrast
from opzo.host.data.labels import check_labels, labels_of
from opzo.host.driver.input_order import Shape, check_shape, to_channel_first
from opzo.host.driver.sample import Sample
from opzo.spec.errors import OpzoError
from opzo.spec.events import encode_frames
from opzo.spec.messages import shown
from opzo.spec.network import Network
from opzo.spec.rules import Input

PIXEL_MAX = 255
DARK = 32
"""Images without a pixel brighter than this are nearly black to the network; they may have a different scale."""
AT_ONCE = 64
"""Images encoded at once, which is faster than one by one."""
CHANNELS_MAX = 4
"""An axis of this length or shorter is taken for channels if the axis at the other end is longer."""
SPIKES = (
    "; for spikes (count, steps, inputs), add an array input='spikes' to the .npz file, or convert them with "
    "opzo.Events.from_frames(x, y)"
)
SHAPE_REMEDY = (
    "store images as (count, height, width) or (count, channels, height, width), or add an array "
    "shape=(channels, height, width) to the .npz file"
)
"""What to do where height and width of images are unknown."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Frames:
    """Images and their labels.

    Parameters
    ----------
    x : uint8 (count, inputs)
        Pixels, in their original order.
    y : uint8 (count,)
        Labels.
    shape : (channels, height, width) or None
        Shape of an image; None if unknown, as for flat images.
    channels_last : bool
        Whether the pixels of an image are in the order (height, width, channels) instead.
    names : tuple of str
        Class names in order of label; empty if unknown.
    contrast : Contrast or None
        Statistics by which the colours became two channels each; None: the channels are the original ones.
    labelled : bool
        False if the classes are unknown; ``y`` is then meaningless.
    """

    x: NDArray[np.uint8]
    y: NDArray[np.uint8]
    shape: Shape | None = None
    channels_last: bool = False
    names: Names = ()
    contrast: Contrast | None = None
    labelled: bool = True
    data_set: str = field(default="", init=False, compare=False)
    """Name of the data set that the frames are part of, which selects its recipe; '' for none."""
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
    ) -> Frames:
        """Make frames from numeric arrays; OpzoError if they do not fit. Images are flattened.

        Parameters
        ----------
        x : (count, pixels), (count, height, width), (count, channels, height, width), (count, height, width, channels)
            Pixels 0..255.
        y : (count,) or (count, 1)
            Labels.
        name, label_name : str
            Names of ``x`` and ``y`` for messages.
        shape : (channels, height, width)
            Shape of an image, for flat ``x``.
        as_is : bool
            Accept values of only 0 and 1 as nearly black pixels.
        """
        array = _numeric(x, name)
        pixels = check_pixels(array, name, as_is=as_is)
        if (dark := darkness(pixels, name)) and not as_is:
            logger.warning("%s", dark)
        return cls(pixels, labels_of(y, len(pixels), label_name, name), *_layout(array.shape[1:], shape, name))

    @classmethod
    def unlabelled(cls, x: ArrayLike, name: str = "x", *, shape: Shape | None = None, as_is: bool = False) -> Frames:
        """Make frames from images as `of`, without labels."""
        array = _numeric(x, name)
        pixels = check_pixels(array, name, as_is=as_is)
        labels = np.zeros(len(pixels), np.uint8)
        return cls(pixels, labels, *_layout(array.shape[1:], shape, name), labelled=False)

    def __repr__(self) -> str:
        size = f"{' x '.join(map(str, self.shape))} pixels" if self.shape else f"{self.inputs} pixels"
        return f"<Frames: {len(self):,} images of {size}, {len(np.unique(self.y))} classes>"

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, index: slice | Sequence[int] | NDArray[Any]) -> Frames:
        """Some of the images: of a slice, with these numbers, or where a mask is True; ``frames[3:4]`` is one."""
        numbers = np.arange(len(self))[index]
        if numbers.ndim != 1:
            raise OpzoError(f"frames[{shown(index)}] is one image; write frames[n : n + 1], which are frames as well")
        part = replace(self, x=self.x[numbers], y=self.y[numbers])
        # A part of a data set is trained by its recipe too.
        object.__setattr__(part, "data_set", self.data_set)
        return part

    def samples(self, order: NDArray[np.intp] | None = None, *, channel_last: Shape | None = None) -> Iterator[Sample]:
        """Samples, in this order of indices.

        ``channel_last`` is the shape of inputs that the device reads in that order (`channel_last_shape`), None for a
        network that takes the pixels as they are.
        """
        pixels = self.pixel_order(channel_last)
        for begin in range(0, len(self) if order is None else len(order), AT_ONCE):
            block = slice(begin, begin + AT_ONCE)
            some = block if order is None else order[block]
            for payload, label in zip(encode_frames(self.x[some][:, pixels]), self.y[some].tolist(), strict=True):
                yield Sample((payload,), label)

    def pixel_order(self, channel_last: Shape | None) -> NDArray[np.intp] | slice:
        """Index that puts the pixels of an image (inputs,) in the order of a device; ``channel_last`` as `samples`."""
        if channel_last is None or self.channels_last:
            return slice(None)
        return to_channel_first(np.arange(self.inputs), channel_last)

    def dense(self, indices: NDArray[np.intp]) -> NDArray[np.uint8]:
        """Values of the images with these indices, (count, inputs)."""
        return self.x[indices]

    def planes(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Reshape images (count, inputs) of these frames to (count, channels, height, width); needs a known shape."""
        assert self.shape is not None
        channels, height, width = self.shape
        if self.channels_last:
            return np.moveaxis(pixels.reshape(-1, height, width, channels), -1, 1)
        return pixels.reshape(-1, channels, height, width)

    def flat(self, planes: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Flatten images (count, channels, height, width) to (count, inputs); the inverse of ``planes``."""
        ordered = np.moveaxis(planes, 1, -1) if self.channels_last else planes
        return ordered.reshape(len(planes), -1)

    def by_contrast(self, contrast: Contrast | None = None, name: str = "x") -> Frames:
        """The same images with two channels a colour (`opzo.host.data.images.contrast`).

        ``contrast`` has the statistics of the training images; None: these are the training images. OpzoError, naming
        ``name``, if the images have other colours, or are coded already.
        """
        if self.shape is None:
            raise OpzoError(f"{name} has images without height and width, whose colours are unknown; {SHAPE_REMEDY}")
        contrast = contrast or Contrast.of(self.planes(self.x), name)
        colours = len(contrast.mean)
        if self.shape[0] != colours or self.contrast is not None:
            raise OpzoError(
                f"{name} has images of {' x '.join(map(str, self.shape))} pixels, which are not coded by the contrast "
                f"of {colours} colours; give images (count, {colours}, height, width)"
            )
        coded = contrast.code(self.planes(self.x))
        return replace(
            self,
            x=coded.reshape(len(self), -1),
            shape=(2 * colours, *self.shape[1:]),
            channels_last=False,
            contrast=contrast,
        )

    def check(self, network: Network, name: str, *, labels: bool = True) -> None:
        """Raise OpzoError if ``network`` does not fit the frames; without ``labels`` only their pixels matter."""
        if network.input is not self.input:
            raise OpzoError(f"{name} has frames; the network takes {network.input.name.lower()} in time")
        check_shape(self.shape, network, name)
        if self.inputs != network.inputs:
            raise OpzoError(f"{name} has {self.inputs} pixels per frame; network {network} has {network.inputs} inputs")
        if labels:
            check_labels(self.y, network, name, labelled=self.labelled)

    @property
    def inputs(self) -> int:
        """Pixels per frame."""
        return int(self.x.shape[1])

    @property
    def digest(self) -> int:
        """CRC-32 of images, labels and shape."""
        shape = f"{self.x.shape} {self.shape} {self.channels_last}".encode()
        return zlib.crc32(shape, zlib.crc32(self.y.tobytes(), zlib.crc32(self.x.tobytes())))


def encode_frame(frame: NDArray[np.uint8]) -> bytes:
    """Encode the nonzero pixels as pairs, in ascending order of address."""
    (payload,) = encode_frames(frame[None])
    return payload


def check_pixels(x: ArrayLike, name: str = "x", *, as_is: bool = False) -> NDArray[np.uint8]:
    """Convert images to uint8 (count, inputs); OpzoError unless they are pixels 0..255.

    False and True of type bool become 0 and 255; other types with values of only 0 and 1 are rejected unless ``as_is``.
    """
    pixels = _numeric(x, name)
    if not 2 <= pixels.ndim <= 4:
        hint = SPIKES if pixels.ndim > 4 else "; one image is x[None]" if pixels.ndim == 1 else ""
        raise OpzoError(
            f"{name} has shape {pixels.shape}; expected (count, pixels), (count, height, width), or with channels "
            f"(count, channels, height, width){hint}"
        )
    if not pixels.size:
        raise OpzoError(f"{name} has shape {pixels.shape} and so no pixels; give at least one image")
    if pixels.dtype.kind == "b":
        return pixels.reshape(len(pixels), -1).astype(np.uint8) * np.uint8(PIXEL_MAX)
    low, high = pixels.min(), pixels.max()
    if np.isnan(low):
        raise OpzoError(f"{name} contains NaN; pixels are numbers from 0 to {PIXEL_MAX}")
    if low < 0 or high > PIXEL_MAX:
        raise OpzoError(
            f"{name} has values from {low:g} to {high:g}; pixels are numbers from 0 to {PIXEL_MAX}: rescale it"
        )
    if high == 1 and not as_is and np.array_equal(pixels, pixels != 0):
        raise OpzoError(
            f"{name} has only values 0 and 1, but {PIXEL_MAX} is white; multiply it by {PIXEL_MAX}, or give it as bool"
            f"{SPIKES if pixels.ndim > 2 else ''}"
        )
    # Resampling or added noise can lead to values slightly above 1.
    if pixels.dtype.kind == "f" and 0 < high < 2 and not as_is:
        raise OpzoError(
            f"{name} is scaled to 0..1; multiply it by {PIXEL_MAX} (its maximum is {high:g}: "
            f"numpy.clip({PIXEL_MAX} * x, 0, {PIXEL_MAX}))"
        )
    rounded = pixels if pixels.dtype.kind in "iu" else np.rint(pixels)
    return rounded.astype(np.uint8).reshape(len(pixels), -1)


def darkness(pixels: NDArray[Any], name: str) -> str:
    """Warning that all images are nearly black, empty where they are not; ``pixels`` are those of the images."""
    if (high := pixels.max()) > DARK:
        return ""
    return f"{name} has no value above {high:g}, where {PIXEL_MAX} is white; rescale it if that is not intended"


def _layout(axes: tuple[int, ...], shape: Shape | None, name: str) -> tuple[Shape | None, bool]:
    """Shape (channels, height, width) of one image, None if unknown, and whether channels are the last axis.

    ``axes`` are those of the image in its array. OpzoError if they do not fit ``shape``, unless that is None.
    """
    if shape is None:
        return _found_layout(axes)
    found, _ = _found_layout(axes)
    if prod(shape) != prod(axes) or (found not in (None, shape) and len(axes) > 1):
        raise OpzoError(f"{name} has images of {_text(axes)}, which does not match the shape {_text(shape)}")
    return shape, axes != shape and axes == (*shape[1:], shape[0])


def _found_layout(shape: tuple[int, ...]) -> tuple[Shape | None, bool]:
    """The same, as far as the axes themselves show it."""
    if len(shape) == 2:
        (height, width), channels, last = shape, 1, False
    elif len(shape) == 3 and shape[0] <= CHANNELS_MAX < shape[2]:
        (channels, height, width), last = shape, False
    elif len(shape) == 3 and shape[2] <= CHANNELS_MAX < shape[0]:
        (height, width, channels), last = shape, True
    else:
        return None, False
    # An image of one row or column is a flat image with an extra axis.
    return (None, False) if 1 in (height, width) else ((channels, height, width), last)


def _text(axes: tuple[int, ...]) -> str:
    return " x ".join(map(str, axes))


def _numeric(values: ArrayLike, name: str) -> NDArray[Any]:
    try:
        array = np.asarray(values)
    except (ValueError, TypeError):
        raise OpzoError(f"{name} is not an array of numbers; give images of one shape, as a NumPy array") from None
    if array.dtype.kind not in "buif":
        raise OpzoError(f"{name} is of type {array.dtype}; give numbers")
    return array
