"""Augmentation: every training image is turned, zoomed and shifted a little, differently in each epoch."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import affine_transform

from opzo.host.data.events.event_samples import Events
from opzo.host.data.images.frames import Frames, encode_frame
from opzo.host.driver.device import Sample
from opzo.host.driver.initial_weights import AUGMENTATION, generator
from opzo.spec.errors import OpzoError


@dataclass(frozen=True)
class Augmentation:
    """How far an image moves at most, to either side; drawn uniformly for each image and epoch.

    Parameters
    ----------
    rotate : float
        Degrees.
    zoom : float
        Share of its size by which it grows or shrinks.
    shift : float
        Pixels, across and down.
    """

    rotate: float
    zoom: float
    shift: float

    def __bool__(self) -> bool:
        return bool(self.rotate or self.zoom or self.shift)

    def check(self, samples: Frames | Events, name: str) -> None:
        """Raise OpzoError where the samples are not images of known height and width."""
        if not self:
            return
        remedy = "set rotate, zoom and shift to 0"
        if not isinstance(samples, Frames):
            raise OpzoError(f"{name} are recordings of events, which cannot be augmented; {remedy}")
        if samples.shape is None:
            raise OpzoError(
                f"{name} has {samples.inputs} pixels a frame, and its array does not say their height and width; store "
                "images as (count, height, width) or (count, channels, height, width), or add an array "
                f"shape=(channels, height, width) to the .npz file, or {remedy}"
            )

    def draw(self, seed: int, epoch: int, count: int) -> NDArray[np.float64]:
        """What one epoch does to its images in the order of training: (count, 4) in -1..1."""
        return generator(seed, AUGMENTATION, epoch).uniform(-1, 1, (count, 4))

    def samples(self, frames: Frames, order: NDArray[np.intp], draws: NDArray[np.float64]) -> Iterator[Sample]:
        """Samples in this order of indices, each moved as its row of ``draws`` says."""
        for index, draw in zip(order, draws, strict=True):
            (image,) = frames.planes(frames.x[index : index + 1])
            (moved,) = frames.flat(self.move(image, draw)[None])
            yield Sample((encode_frame(moved),), int(frames.y[index]))

    def move(self, image: NDArray[np.uint8], draw: NDArray[np.float64]) -> NDArray[np.uint8]:
        """Image (height, width) or (channels, height, width), turned and zoomed about its middle, then shifted.

        Bilinear; all channels move alike. OpzoError for a flat image: its height and width are not known.
        """
        if image.ndim not in (2, 3):
            raise OpzoError(
                f"an image of shape {image.shape} cannot be moved; (height, width) or (channels, height, width) "
                "expected"
            )
        angle, zoom = np.deg2rad(self.rotate * draw[0]), 1 + self.zoom * draw[1]
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) / zoom
        middle = (np.array(image.shape[-2:]) - 1) / 2
        offset = middle - turn @ middle + self.shift * draw[2:]
        moved = np.empty(image.shape, np.uint8)
        for index in np.ndindex(image.shape[:-2]):
            affine_transform(image[index], turn, offset, output=moved[index], order=1)
        return moved
