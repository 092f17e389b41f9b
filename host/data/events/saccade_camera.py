"""A simulated event camera that makes SYNTHETIC recordings of still images, as N-MNIST was recorded of MNIST."""

from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from functools import cached_property
from math import ceil
from typing import Any

import numpy as np
from numpy.typing import NDArray

from opzo.host.driver.initial_weights import generator
from opzo.spec.errors import OpzoError

SENSOR = 34
"""Pixels across and down; that of N-MNIST."""
IMAGE = 28
"""Smaller images are enlarged to this."""
MOVEMENTS = 3
SUBPIXEL = 16
"""Positions are multiples of 1/16 pixel: the mean of four grey levels is then a 16-bit integer without rounding."""
LEVEL_ONE = 4096
"""Logarithms of intensity are Q2.12 integers, so that every machine and every order of work gives the same events."""
OFF, ON = 0, 1
"""Channels."""
BATCH = 64
"""Images at once: what a sub-step touches stays in a cache of 1 MiB."""
_STREAM = 0x5ACC
"""First word of the random streams; those of training (``opzo.host.driver.initial_weights``) are small numbers."""
_MISMATCH, _NOISE = range(2)
_MISMATCH_LIMIT = 3.0


def _parameter(default: Any, text: str, low: float, high: float) -> Any:
    return field(default=default, metadata={"help": text, "low": low, "high": high})


@dataclass(frozen=True)
class SaccadeCamera:
    """Event camera that looks at a still image during three saccades: down, up and back, along a triangle.

    docs/saccade.md has the equations. OpzoError for a parameter out of range.
    """

    steps: int = _parameter(30, "time steps of a recording", 1, 3000)
    substeps: int = _parameter(4, "positions that are simulated in each time step", 1, 100)
    saccade_ms: float = _parameter(100.0, "duration of each of the three saccades, ms", 1, 10000)
    amplitude: float = _parameter(7.0, "width and height of the triangle, pixels", 0, 16)
    smooth: int = _parameter(1, "1: saccades start and end slowly; 0: constant speed", 0, 1)
    on: float = _parameter(0.375, "ON threshold, rise of the natural logarithm of intensity", 0.01, 5)
    off: float = _parameter(0.375, "OFF threshold, fall of the natural logarithm of intensity", 0.01, 5)
    mismatch: float = _parameter(0.1, "standard deviation of the thresholds of the pixels, share of them", 0, 0.3)
    dark: float = _parameter(50.0, "intensity of black, grey levels (white: this + 255)", 1, 10000)
    refractory_ms: float = _parameter(1.0, "time after an event in which the pixel has no other, ms", 0, 10000)
    noise: float = _parameter(0.1, "noise events of a pixel, Hz", 0, 1000)
    seed: int = _parameter(0, "seed of threshold mismatch and noise", 0, 2**32 - 1)

    def __post_init__(self) -> None:
        for entry in fields(self):
            value, low, high = getattr(self, entry.name), entry.metadata["low"], entry.metadata["high"]
            kind, numbers = ("a whole number", int) if entry.type is int else ("a number", int | float)
            if not isinstance(value, numbers) or not low <= value <= high:
                raise OpzoError(f"{entry.name} of the camera must be {kind} in {low:g}..{high:g}, not {value!r}")

    @property
    def duration_ms(self) -> float:
        """Length of a recording."""
        return MOVEMENTS * self.saccade_ms

    @cached_property
    def path(self) -> NDArray[np.int64]:
        """Where the image is after each sub-step, (steps * substeps + 1, 2): rows and columns in 1/16 pixel.

        The corners are those of N-MNIST: from the upper left to the middle below, the upper right, and back.
        """
        half = self.amplitude / 2
        corners = np.array([[-half, -half], [half, 0], [-half, half], [-half, -half]])
        time = np.linspace(0, MOVEMENTS, self.steps * self.substeps + 1)
        movement = np.minimum(time.astype(int), MOVEMENTS - 1)
        way = time - movement
        if self.smooth:
            way = way * way * (3 - 2 * way)
        start, end = corners[movement], corners[movement + 1]
        path: NDArray[np.int64] = np.rint(SUBPIXEL * (start + way[:, None] * (end - start))).astype(np.int64)
        return path

    @cached_property
    def thresholds(self) -> NDArray[np.int16]:
        """OFF and ON threshold of each pixel, (2, SENSOR, SENSOR) in Q2.12."""
        drawn = generator(self.seed, _STREAM, _MISMATCH).standard_normal((2, SENSOR, SENSOR))
        factors = 1 + self.mismatch * np.clip(drawn, -_MISMATCH_LIMIT, _MISMATCH_LIMIT)
        means = np.array([self.off, self.on]).reshape(2, 1, 1)
        thresholds: NDArray[np.int16] = np.clip(np.rint(LEVEL_ONE * means * factors), 1, 2**15 - 1).astype(np.int16)
        return thresholds

    @cached_property
    def levels(self) -> NDArray[np.int16]:
        """Q2.12 logarithm of intensity over that of black, of each sum of 256 parts of grey levels."""
        grey = np.arange(255 * SUBPIXEL**2 + 1) / SUBPIXEL**2
        levels: NDArray[np.int16] = np.rint(LEVEL_ONE * np.log1p(grey / self.dark)).astype(np.int16)
        return levels

    @property
    def silence(self) -> int:
        """Sub-steps from an event of a pixel to its next one, at the least."""
        # Rounded, because a quotient that should be whole may come out a little larger.
        return max(1, ceil(round(self.refractory_ms * self.steps * self.substeps / self.duration_ms, 6)))

    def record(self, images: NDArray[np.uint8]) -> NDArray[np.bool_]:
        """Spikes of the images (count, height, width) without noise: (steps, 2, SENSOR, SENSOR, count).

        A pixel remembers the level at its last event. In each sub-step in which the level is a threshold or more away
        and the pixel is not refractory, it has one event, and what it remembers moves by that threshold; so no
        change is lost, but a fast one may come late.
        """
        padded = _place(images, self.amplitude)
        off, on = self.thresholds[..., None]
        remembered = self._look(padded, self.path[0])
        last = np.full(remembered.shape, -self.silence, np.int32)
        spikes = np.zeros((self.steps, 2, *remembered.shape), np.bool_)
        for index, position in enumerate(self.path[1:]):
            change = self._look(padded, position) - remembered
            rises, falls = change >= on, change <= -off
            if self.silence > 1:
                ready = index - last >= self.silence
                rises &= ready
                falls &= ready
                np.copyto(last, index, where=rises | falls)
            remembered += rises * on
            remembered -= falls * off
            spikes[index // self.substeps, ON] |= rises
            spikes[index // self.substeps, OFF] |= falls
        return spikes

    def _look(self, padded: NDArray[np.uint16], position: NDArray[np.int64]) -> NDArray[np.int16]:
        """Levels at the pixels, (SENSOR, SENSOR, count), with the image moved to ``position``."""
        (row, row_part), (column, column_part) = (divmod(-int(part), SUBPIXEL) for part in position)
        margin = (len(padded) - SENSOR) // 2
        total: NDArray[np.uint16] | None = None
        for down, row_share in ((0, SUBPIXEL - row_part), (1, row_part)):
            for right, column_share in ((0, SUBPIXEL - column_part), (1, column_part)):
                if share := row_share * column_share:
                    top, left = margin + row + down, margin + column + right
                    part = padded[top : top + SENSOR, left : left + SENSOR] * np.uint16(share)
                    total = part if total is None else np.add(total, part, out=total)
        assert total is not None
        return self.levels.take(total)

    def recordings(
        self, images: NDArray[np.uint8], split: int
    ) -> Iterator[tuple[NDArray[np.uint16], NDArray[np.int64]]]:
        """Addresses and offsets, as ``Events`` has them, of images (count, height, width), batch by batch.

        Offsets count from the start of the batch. The noise of an image belongs to ``split`` and its index, so the
        recording of an image does not depend on the batch that it is in.
        """
        for start in range(0, len(images), BATCH):
            spikes = self.record(images[start : start + BATCH])
            count = spikes.shape[-1]
            flat = spikes.reshape(-1, count)
            if self.noise:
                mean = self.noise * self.duration_ms / 1000 * SENSOR**2
                for index in range(count):
                    random = generator(self.seed, _STREAM, _NOISE, split, start + index)
                    flat[random.integers(0, len(flat), random.poisson(mean)), index] = True
            by_step = np.ascontiguousarray(flat.T).reshape(count * self.steps, -1)
            addresses = (np.flatnonzero(by_step) % by_step.shape[1]).astype(np.uint16)
            ends = np.cumsum(np.count_nonzero(by_step, axis=1)).reshape(count, self.steps)
            begins = np.concatenate([[0], ends[:-1, -1]])
            yield addresses, np.concatenate([begins[:, None], ends], axis=1)


def enlarge(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Images (count, side, side) of less than 28 pixels a side enlarged to that, bilinear; larger ones as they are.

    OpzoError where they do not fit the sensor.
    """
    side = images.shape[1]
    if side > SENSOR:
        raise OpzoError(f"images of {side} x {side} pixels do not fit the {SENSOR} x {SENSOR} of the camera")
    if side >= IMAGE:
        return images
    # In units of 1 / (2 * IMAGE) pixel all is integer; the outermost half pixel repeats the edge.
    unit = 2 * IMAGE
    position = np.clip((2 * np.arange(IMAGE) + 1) * side - IMAGE, 0, unit * (side - 1))
    weights = np.maximum(unit - abs(position[:, None] - unit * np.arange(side)), 0)
    total = np.einsum("ri,nij,cj->nrc", weights, images.astype(np.int64), weights, optimize=True)
    enlarged: NDArray[np.uint8] = ((total + unit**2 // 2) // unit**2).astype(np.uint8)
    return enlarged


def _place(images: NDArray[np.uint8], amplitude: float) -> NDArray[np.uint16]:
    """Images in the middle of black as large as what the camera may come to see; count becomes the last axis."""
    _, height, width = images.shape
    margin = ceil(amplitude / 2) + 1
    padded = np.zeros((SENSOR + 2 * margin, SENSOR + 2 * margin, len(images)), np.uint16)
    top, left = margin + (SENSOR - height) // 2, margin + (SENSOR - width) // 2
    padded[top : top + height, left : left + width] = images.transpose(1, 2, 0)
    return padded
