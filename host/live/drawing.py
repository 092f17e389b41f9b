"""Drawings: strokes of a pen, made into an image as the images of a data set were made."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from opzo.host.data.images.contrast import Contrast
from opzo.host.data.images.frames import PIXEL_MAX, SHAPE_REMEDY, Frames
from opzo.host.training.evaluation import Samples
from opzo.spec.errors import OpzoError

Strokes = Sequence[Sequence[tuple[float, float]]]
"""Strokes of a drawing: points (x, y) of each, 0..1 from left to right and from top to bottom."""
LEAST_EXTENT = 0.05
"""A drawing smaller than this share of the canvas is a dot, and is not enlarged further."""


@dataclass(frozen=True)
class Preparation:
    """How the images of a data set were made. Lengths are in units of the side of an image.

    Parameters
    ----------
    pen : float
        Width of a stroke in the image.
    box : float
        Length of the larger side of the drawing; 0 keeps the size and the place that it has on the canvas.
    by_mass : bool
        Whether the centre of mass of the ink is moved to the middle of the image, and not that of the bounding box.
    blocks : int
        Side of the blocks of a bitmap whose black pixels make a pixel of the image; 0 makes anti-aliased pixels.
    """

    pen: float
    box: float = 0.0
    by_mass: bool = False
    blocks: int = 0


PREPARATIONS = {
    # 32 x 32 bitmaps that the digit fills, reduced to the number of black pixels in blocks of 4 x 4. The mean digit has
    # 312 of 1,024 black pixels, which is that of a pen of 4.8 pixels.
    "digits": Preparation(pen=4.8 / 32, box=1.0, blocks=4),
    # A box of 20 x 20 pixels, then the centre of mass to the middle of 28 x 28 pixels.
    "mnist": Preparation(pen=2.6 / 28, box=20 / 28, by_mass=True),
}
"""By data set."""
AS_DRAWN = Preparation(pen=0.09)
"""For all other images."""


class DrawingBoard:
    """Makes drawings into samples that look like those of a data set.

    Parameters
    ----------
    samples : Frames
        Samples of the data set; OpzoError unless they are images of known height and width.
    name : str
        Name of the data set.
    """

    def __init__(self, samples: Samples, name: str) -> None:
        if not isinstance(samples, Frames):
            raise OpzoError(f"{name} has events; the live page draws images: choose digits, mnist or other images")
        if samples.shape is None:
            raise OpzoError(f"{name} has images without height and width, which cannot be drawn; {SHAPE_REMEDY}")
        self.preparation = PREPARATIONS.get(name, AS_DRAWN)
        self.shape = samples.shape
        self._like = samples
        self._contrast: Contrast | None = samples.contrast

    def frames(self, strokes: Strokes, label: int = 0) -> Frames:
        """The drawing as one labelled image of the data set; the same ink in all of its colours."""
        channels, height, width = self.shape
        side = min(height, width)
        image = np.zeros((height, width), np.uint8)
        top, left = (height - side) // 2, (width - side) // 2
        image[top : top + side, left : left + side] = image_of(strokes, side, self.preparation)
        colours = channels if self._contrast is None else len(self._contrast.mean)
        planes = np.broadcast_to(image, (1, colours, height, width))
        labels = np.array([label], np.uint8)
        frames = Frames(np.ascontiguousarray(planes).reshape(1, -1), labels, (colours, height, width))
        if self._contrast is not None:
            return frames.by_contrast(self._contrast, "the drawing")
        return replace(frames, x=self._like.flat(planes), channels_last=self._like.channels_last)


def image_of(strokes: Strokes, side: int, preparation: Preparation) -> NDArray[np.uint8]:
    """Pixels 0..255 of a drawing, (side, side); black, 0, without strokes."""
    if not strokes:
        return np.zeros((side, side), np.uint8)
    fine = side * max(1, preparation.blocks)
    pen = preparation.pen * fine
    placed = _placed([np.asarray(stroke, np.float64) for stroke in strokes], fine, pen, preparation)
    ink = _ink(placed, fine, pen)
    if preparation.by_mass:
        weights = ink.sum()
        middle = np.arange(fine) + 0.5
        mass = np.array([(ink.sum(axis=0) * middle).sum(), (ink.sum(axis=1) * middle).sum()]) / weights
        ink = _ink([points + (fine / 2 - mass) for points in placed], fine, pen)
    if preparation.blocks:
        bitmap = (ink >= 0.5).astype(np.float64)
        blocks = preparation.blocks
        ink = bitmap.reshape(side, blocks, side, blocks).mean(axis=(1, 3))
    pixels: NDArray[np.uint8] = np.rint(ink * PIXEL_MAX).astype(np.uint8)
    return pixels


def _placed(
    strokes: list[NDArray[np.float64]], side: int, pen: float, preparation: Preparation
) -> list[NDArray[np.float64]]:
    """Strokes in pixels of an image with this side: in the box in its middle, or where they were drawn."""
    if not preparation.box:
        return [points * side for points in strokes]
    points = np.concatenate(strokes)
    low, high = points.min(axis=0), points.max(axis=0)
    scale = (preparation.box * side - pen) / max(LEAST_EXTENT, *(high - low))
    return [(stroke - (low + high) / 2) * scale + side / 2 for stroke in strokes]


def _ink(strokes: list[NDArray[np.float64]], side: int, pen: float) -> NDArray[np.float64]:
    """Share of each pixel that a round pen covers, (side, side)."""
    middle = np.arange(side) + 0.5
    x, y = middle[None, :], middle[:, None]
    nearest = np.full((side, side), np.inf)
    for points in strokes:
        # A stroke of one point is a dot.
        for (x0, y0), (x1, y1) in zip(points, [*points[1:], points[-1]], strict=True):
            dx, dy = x1 - x0, y1 - y0
            along = np.clip(((x - x0) * dx + (y - y0) * dy) / max(1e-12, dx * dx + dy * dy), 0, 1)
            distance = (x - x0 - along * dx) ** 2 + (y - y0 - along * dy) ** 2
            np.minimum(nearest, distance, out=nearest)
    covered: NDArray[np.float64] = np.clip(0.5 + pen / 2 - np.sqrt(nearest), 0, 1)
    return covered
