"""Contrast: each colour of an image as two unsigned channels, above and below its mean over the training images.

With the mean m and the standard deviation s of a colour over all training pixels, a pixel p becomes two values 0..255::

    above = min(255, round(SCALE (p - m) / s)) if p > m, else 0
    below = min(255, round(SCALE (m - p) / s)) if p < m, else 0

One of the two is always 0, and a value of 0 costs the chip nothing. SCALE puts 2 s at 255: in photographs, whose pixels
have a mean near half of their range and a standard deviation near a quarter, that is about the distance from the mean
to black and to white. So few values are clipped (2.9 % in CIFAR-10), and all 8 bits are used.
"""

from dataclasses import dataclass
from math import isfinite, sqrt

import numpy as np
from numpy.typing import ArrayLike, NDArray

from opzo.spec.errors import OpzoError

PIXELS = 256
VALUE_MAX = 255
SCALE = VALUE_MAX / 2
BLOCK = 1000
"""Images that are converted together: NumPy makes indices of eight bytes from each pixel."""


@dataclass(frozen=True)
class Contrast:
    """Mean and standard deviation of each colour over the training images, in units of a pixel 0..255.

    ValueError if they are not those of images.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __post_init__(self) -> None:
        if not self.mean or len(self.mean) != len(self.std):
            raise ValueError(f"{len(self.mean)} means for {len(self.std)} standard deviations")
        for mean, std in zip(self.mean, self.std, strict=True):
            if not (isfinite(std) and 0 <= mean <= VALUE_MAX and std > 0):
                raise ValueError(f"mean {mean:g} and standard deviation {std:g} of a colour; pixels are 0..{VALUE_MAX}")

    @classmethod
    def of(cls, planes: NDArray[np.uint8], name: str) -> "Contrast":
        """Statistics of images (count, colours, height, width), exact up to one rounding.

        OpzoError, naming ``name``, if all pixels of a colour are equal.
        """
        means, stds = [], []
        for colour in range(planes.shape[1]):
            parts = (planes[begin : begin + BLOCK, colour] for begin in range(0, len(planes), BLOCK))
            counts = np.sum([np.bincount(part.reshape(-1), minlength=PIXELS) for part in parts], axis=0).tolist()
            # Python's integers: the sums have more bits than a float.
            pixels = sum(counts)
            total = sum(value * count for value, count in enumerate(counts))
            squares = sum(value * value * count for value, count in enumerate(counts))
            if total * total == pixels * squares:
                raise OpzoError(f"{name}: all pixels of colour {colour} are equal; give images with contrast")
            means.append(total / pixels)
            stds.append(sqrt(pixels * squares - total * total) / pixels)
        return cls(tuple(means), tuple(stds))

    def code(self, planes: ArrayLike) -> NDArray[np.uint8]:
        """Images uint8 (count, colours, height, width) as (count, 2 colours, height, width).

        Channel 2 c is above the mean of colour c, channel 2 c + 1 below it.
        """
        pixels = np.asarray(planes, np.uint8)
        count, colours, *sides = pixels.shape
        coded = np.empty((count, 2 * colours, *sides), np.uint8)
        tables = self._tables()
        for begin in range(0, count, BLOCK):
            for channel, table in enumerate(tables):
                coded[begin : begin + BLOCK, channel] = table[pixels[begin : begin + BLOCK, channel // 2]]
        return coded

    def _tables(self) -> NDArray[np.uint8]:
        """Value of each channel for each pixel 0..255: uint8 (2 colours, 256)."""
        mean, std = (np.array(values)[:, None] for values in (self.mean, self.std))
        distance = np.rint(SCALE * (np.arange(PIXELS) - mean) / std)
        signed = np.stack([distance, -distance], axis=1).reshape(-1, PIXELS)
        tables: NDArray[np.uint8] = np.clip(signed, 0, VALUE_MAX).astype(np.uint8)
        return tables
