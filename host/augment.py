"""Augmentation: every training image a little turned, zoomed and shifted, anew in each epoch."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import isqrt

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import affine_transform

from opzo.host.data import Frames, encode_frame
from opzo.host.device import Sample
from opzo.host.events import Events
from opzo.host.initial import AUGMENTATION, generator
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
        """Raise OpzoError where the samples are not square images."""
        if not self:
            return
        remedy = "set rotate, zoom and shift to 0"
        if not isinstance(samples, Frames):
            raise OpzoError(f"{name} are recordings of events, which cannot be augmented; {remedy}")
        if isqrt(samples.inputs) ** 2 != samples.inputs:
            raise OpzoError(f"{name} has {samples.inputs} pixels a frame, which is no square image; {remedy}")

    def draw(self, seed: int, epoch: int, count: int) -> NDArray[np.float64]:
        """What one epoch does to its images in the order of training: (count, 4) in -1..1."""
        return generator(seed, AUGMENTATION, epoch).uniform(-1, 1, (count, 4))

    def samples(self, frames: Frames, order: NDArray[np.intp], draws: NDArray[np.float64]) -> Iterator[Sample]:
        """Samples in this order of indices, each moved as its row of ``draws`` says."""
        for index, draw in zip(order, draws, strict=True):
            yield Sample((encode_frame(self.move(frames.x[index], draw)),), int(frames.y[index]))

    def move(self, frame: NDArray[np.uint8], draw: NDArray[np.float64]) -> NDArray[np.uint8]:
        """Frame (inputs,), a square image, turned and zoomed about its middle, then shifted; bilinear."""
        image = frame.reshape(isqrt(len(frame)), -1)
        angle, zoom = np.deg2rad(self.rotate * draw[0]), 1 + self.zoom * draw[1]
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) / zoom
        middle = (np.array(image.shape) - 1) / 2
        offset = middle - turn @ middle + self.shift * draw[2:]
        moved: NDArray[np.uint8] = affine_transform(image, turn, offset, output=np.uint8, order=1)
        return moved.reshape(-1)
