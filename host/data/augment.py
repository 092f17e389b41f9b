"""Augmentation: rotates, zooms and shifts each training image by small random amounts, new ones in each epoch."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import affine_transform

from opzo.host.data.events.event_samples import Events
from opzo.host.data.images.frames import Frames, encode_frame
from opzo.host.driver.initial_weights import AUGMENTATION, generator
from opzo.host.driver.sample import Sample
from opzo.spec.errors import OpzoError


@dataclass(frozen=True)
class Augmentation:
    """Largest change of an image in either direction; the changes are drawn uniformly for each image and epoch.

    Parameters
    ----------
    rotate : float
        Maximum rotation in degrees.
    zoom : float
        Maximum zoom in or out, as a fraction of the image size.
    shift : float
        Maximum shift in pixels, horizontally and vertically.
    """

    rotate: float
    zoom: float
    shift: float

    def __bool__(self) -> bool:
        return bool(self.rotate or self.zoom or self.shift)

    def check(self, samples: Frames | Events, name: str) -> None:
        """Raise OpzoError if the samples are not images of known height and width."""
        if not self:
            return
        remedy = "set rotate, zoom and shift to 0"
        if not isinstance(samples, Frames):
            raise OpzoError(f"{name} has events, which cannot be augmented; {remedy}")
        if samples.shape is None:
            raise OpzoError(
                f"{name} has {samples.inputs} pixels per frame, but no height and width; store images as (count, "
                "height, width) or (count, channels, height, width), or add an array shape=(channels, height, width) "
                f"to the .npz file, or {remedy}"
            )

    def draw(self, seed: int, epoch: int, count: int) -> NDArray[np.float64]:
        """Random draws of one epoch, (count, 4) in -1..1: a row for each image, in training order."""
        return generator(seed, AUGMENTATION, epoch).uniform(-1, 1, (count, 4))

    def samples(self, frames: Frames, order: NDArray[np.intp], draws: NDArray[np.float64]) -> Iterator[Sample]:
        """Samples in this order of indices, each transformed by its row of ``draws``."""
        for index, draw in zip(order, draws, strict=True):
            (image,) = frames.planes(frames.x[index : index + 1])
            (moved,) = frames.flat(self.move(image, draw)[None])
            yield Sample((encode_frame(moved),), int(frames.y[index]))

    def move(self, image: NDArray[np.uint8], draw: NDArray[np.float64]) -> NDArray[np.uint8]:
        """Rotate and zoom an image (height, width) or (channels, height, width) about its center, then shift it.

        Bilinear interpolation; the same transform for all channels. OpzoError for a flat image, whose height and width
        are unknown.
        """
        if image.ndim not in (2, 3):
            raise OpzoError(
                f"cannot transform an image of shape {image.shape}; give one of shape (height, width) or "
                "(channels, height, width)"
            )
        angle, zoom = np.deg2rad(self.rotate * draw[0]), 1 + self.zoom * draw[1]
        matrix = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) / zoom
        center = (np.array(image.shape[-2:]) - 1) / 2
        offset = center - matrix @ center + self.shift * draw[2:]
        moved = np.empty(image.shape, np.uint8)
        for index in np.ndindex(image.shape[:-2]):
            affine_transform(image[index], matrix, offset, output=moved[index], order=1)
        return moved
