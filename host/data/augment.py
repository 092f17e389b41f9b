"""Augmentation: rotates, zooms, shifts and mirrors each training image at random, differently in each epoch."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import affine_transform

from opzo.host.data.events.event_samples import Events
from opzo.host.data.images.frames import AT_ONCE, SHAPE_REMEDY, Frames
from opzo.host.driver.initial_weights import AUGMENTATION, generator, order_seed
from opzo.host.driver.input_order import Shape
from opzo.host.driver.sample import Sample
from opzo.spec.errors import OpzoError
from opzo.spec.events import encode_frames
from opzo.spec.shuffle import MAX_SHIFT, shifts


@dataclass(frozen=True)
class Augmentation:
    """Largest change of an image in either direction; the changes are drawn uniformly for each image and epoch.

    All channels of an image are changed alike. Images that are not rotated or zoomed move by whole pixels, without
    interpolation, if ``shift`` is a whole number; up to MAX_SHIFT pixels, by the shifts that a device with a sample
    store makes itself (``opzo.spec.shuffle``).

    Parameters
    ----------
    rotate : float
        Maximum rotation in degrees.
    zoom : float
        Maximum zoom in or out, as a fraction of the image size.
    shift : float
        Maximum shift in pixels, horizontally and vertically.
    flip : bool
        Mirror half of the images, left to right.
    """

    rotate: float
    zoom: float
    shift: float
    flip: bool = False

    def __bool__(self) -> bool:
        return bool(self.rotate or self.zoom or self.shift or self.flip)

    def check(self, samples: Frames | Events, name: str) -> None:
        """Raise OpzoError if the samples are not images of known height and width."""
        if not self:
            return
        remedy = "set rotate, zoom, shift and flip to 0"
        if not isinstance(samples, Frames):
            raise OpzoError(f"{name} has events, which cannot be augmented; {remedy}")
        if samples.shape is None:
            raise OpzoError(
                f"{name} has {samples.inputs} pixels per frame, but no height and width; {SHAPE_REMEDY}, or {remedy}"
            )

    def draw(self, seed: int, epoch: int, count: int) -> NDArray[np.float64]:
        """Random draws of one epoch, (count, 5) in -1..1: a row for each image, in training order.

        The columns are rotation, zoom, vertical and horizontal shift, and whether to mirror (below 0).
        """
        source = generator(seed, AUGMENTATION, epoch)
        # Mirrors are drawn last, so that the other draws are the same without them.
        draws = np.hstack([source.uniform(-1, 1, (count, 4)), source.uniform(-1, 1, (count, 1))])
        if self.whole and self.shift <= MAX_SHIFT:
            most = int(self.shift)
            # Shifts move the image, and `_move` looks up where a pixel was before.
            moved = most - shifts(order_seed(seed, epoch), np.arange(count), most)
            draws[:, 2:4] = (2 * moved + 1) / (2 * most + 1) - 1
        return draws

    @property
    def whole(self) -> bool:
        """Whether images move by whole pixels."""
        return bool(self.shift) and self.shift == int(self.shift) and not (self.rotate or self.zoom)

    @property
    def on_device(self) -> bool:
        """Whether a device with a sample store can do all of it, for images whose shape the device knows."""
        return not self or (self.whole and self.shift <= MAX_SHIFT and not self.flip)

    def samples(
        self,
        frames: Frames,
        order: NDArray[np.intp],
        draws: NDArray[np.float64],
        *,
        channel_last: Shape | None = None,
    ) -> Iterator[Sample]:
        """Samples in this order of indices, each transformed by its row of ``draws``.

        ``channel_last`` as for `Frames.samples`.
        """
        pixels = frames.pixel_order(channel_last)
        for begin in range(0, len(order), AT_ONCE):
            block = slice(begin, begin + AT_ONCE)
            images = frames.planes(frames.x[order[block]])
            moves = zip(images, draws[block], *self._transforms(draws[block], images.shape[-2:]), strict=True)
            moved = frames.flat(np.stack([self._move(*move) for move in moves]))[:, pixels]
            for payload, label in zip(encode_frames(moved), frames.y[order[block]].tolist(), strict=True):
                yield Sample((payload,), label)

    def move(self, image: NDArray[np.uint8], draw: NDArray[np.float64]) -> NDArray[np.uint8]:
        """Mirror an image (height, width) or (channels, height, width), rotate and zoom it about its center, shift it.

        ``draw`` is a row of `draw`. Bilinear interpolation, except for shifts by whole pixels; 0 comes in from outside.
        OpzoError for a flat image, whose height and width are unknown.
        """
        if image.ndim not in (2, 3):
            raise OpzoError(
                f"cannot transform an image of shape {image.shape}; give one of shape (height, width) or "
                "(channels, height, width)"
            )
        ((matrix,), (offset,)) = self._transforms(draw[None], image.shape[-2:])
        return self._move(image, draw, matrix, offset)

    def _transforms(
        self, draws: NDArray[np.float64], size: tuple[int, ...]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Matrices (n, 2, 2) and offsets (n, 2) from places in moved images of a height and width to those before."""
        angle, zoom = np.deg2rad(self.rotate * draws[:, 0]), 1 + self.zoom * draws[:, 1]
        cosine, sine = np.cos(angle), np.sin(angle)
        matrices = (np.array([[cosine, -sine], [sine, cosine]]) / zoom).transpose(2, 0, 1)
        center = (np.array(size) - 1) / 2
        return matrices, center - matrices @ center + self.shift * draws[:, 2:4]

    def _move(
        self,
        image: NDArray[np.uint8],
        draw: NDArray[np.float64],
        matrix: NDArray[np.float64],
        offset: NDArray[np.float64],
    ) -> NDArray[np.uint8]:
        if self.flip and draw[4] < 0:
            image = image[..., ::-1]
        if self.whole or not (self.rotate or self.zoom or self.shift):
            most = int(self.shift)
            # Each of the 2 most + 1 shifts is as likely as any other.
            down, across = (min(most, int((1 + x) / 2 * (2 * most + 1)) - most) for x in draw[2:4].tolist())
            return _shifted(image, down, across)
        moved = np.empty(image.shape, np.uint8)
        for index in np.ndindex(image.shape[:-2]):
            affine_transform(image[index], matrix, offset, output=moved[index], order=1)
        return moved


def _shifted(image: NDArray[np.uint8], down: int, across: int) -> NDArray[np.uint8]:
    """Image (..., height, width) whose pixel (y, x) is pixel (y + down, x + across) of ``image``, 0 outside of it."""
    moved = np.zeros_like(image)
    height, width = image.shape[-2:]
    part = image[..., max(0, down) : max(0, height + down), max(0, across) : max(0, width + across)]
    top, left = max(0, -down), max(0, -across)
    moved[..., top : top + part.shape[-2], left : left + part.shape[-1]] = part
    return moved
