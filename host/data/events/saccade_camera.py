"""Simulated event camera that makes synthetic recordings of still images, in the way N-MNIST was made from MNIST."""

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
"""Width and height of the sensor in pixels, as for N-MNIST."""
IMAGE = 28
"""Smaller images are enlarged to this width and height."""
MOVEMENTS = 3
SUBPIXEL = 16
"""Positions are multiples of 1/16 pixel, so the weighted mean of four gray levels is an exact 16-bit integer."""
LEVEL_ONE = 4096
"""Logarithms of intensity are Q2.12 integers, so events do not depend on the machine or the order of summation."""
OFF, ON = 0, 1
"""Channels."""
BATCH = 64
"""Images simulated together; the working set of a sub-step fits a cache of 1 MiB."""
_STREAM = 0x5ACC
"""First word of the random streams; training (``opzo.host.driver.initial_weights``) uses small numbers."""
_MISMATCH, _NOISE = range(2)
_MISMATCH_LIMIT = 3.0


def _parameter(default: Any, text: str, low: float, high: float) -> Any:
    return field(default=default, metadata={"help": text, "low": low, "high": high})


@dataclass(frozen=True)
class SaccadeCamera:
    """Event camera that views a still image during three saccades along a triangle: down, up and back.

    The equations are in docs/saccade.md. OpzoError if a parameter is out of range.
    """

    steps: int = _parameter(30, "time steps of a recording", 1, 3000)
    substeps: int = _parameter(4, "simulated positions per time step", 1, 100)
    saccade_ms: float = _parameter(100.0, "duration of each of the three saccades, ms", 1, 10000)
    amplitude: float = _parameter(7.0, "width and height of the triangle, pixels", 0, 16)
    smooth: int = _parameter(1, "1: saccades start and end slowly; 0: constant speed", 0, 1)
    on: float = _parameter(0.375, "ON threshold, rise of the natural logarithm of intensity", 0.01, 5)
    off: float = _parameter(0.375, "OFF threshold, fall of the natural logarithm of intensity", 0.01, 5)
    mismatch: float = _parameter(0.1, "standard deviation of the pixels' thresholds, relative to their mean", 0, 0.3)
    dark: float = _parameter(50.0, "intensity of black in gray levels (white: this + 255)", 1, 10000)
    refractory_ms: float = _parameter(1.0, "dead time of a pixel after an event, ms", 0, 10000)
    noise: float = _parameter(0.1, "noise event rate of a pixel, Hz", 0, 1000)
    seed: int = _parameter(0, "seed of threshold mismatch and noise", 0, 2**32 - 1)

    def __post_init__(self) -> None:
        for entry in fields(self):
            value, low, high = getattr(self, entry.name), entry.metadata["low"], entry.metadata["high"]
            kind, numbers = ("a whole number", int) if entry.type is int else ("a number", int | float)
            if not isinstance(value, numbers) or not low <= value <= high:
                raise OpzoError(f"{entry.name} of the camera must be {kind} in {low:g}..{high:g}, not {value!r}")

    @property
    def duration_ms(self) -> float:
        """Duration of a recording in milliseconds."""
        return MOVEMENTS * self.saccade_ms

    @cached_property
    def path(self) -> NDArray[np.int64]:
        """Position of the image after each sub-step, (steps * substeps + 1, 2): row and column in 1/16 pixel.

        The corners are those of N-MNIST: from the upper left to the lower center, the upper right, and back.
        """
        half = self.amplitude / 2
        corners = np.array([[-half, -half], [half, 0], [-half, half], [-half, -half]])
        time = np.linspace(0, MOVEMENTS, self.steps * self.substeps + 1)
        movement = np.minimum(time.astype(int), MOVEMENTS - 1)
        progress = time - movement
        if self.smooth:
            progress = progress * progress * (3 - 2 * progress)
        start, end = corners[movement], corners[movement + 1]
        path: NDArray[np.int64] = np.rint(SUBPIXEL * (start + progress[:, None] * (end - start))).astype(np.int64)
        return path

    @cached_property
    def thresholds(self) -> NDArray[np.int16]:
        """OFF and ON thresholds of all pixels, (2, SENSOR, SENSOR) in Q2.12."""
        drawn = generator(self.seed, _STREAM, _MISMATCH).standard_normal((2, SENSOR, SENSOR))
        factors = 1 + self.mismatch * np.clip(drawn, -_MISMATCH_LIMIT, _MISMATCH_LIMIT)
        means = np.array([self.off, self.on]).reshape(2, 1, 1)
        thresholds: NDArray[np.int16] = np.clip(np.rint(LEVEL_ONE * means * factors), 1, 2**15 - 1).astype(np.int16)
        return thresholds

    @cached_property
    def levels(self) -> NDArray[np.int16]:
        """Table of log(intensity / intensity of black) in Q2.12, indexed by gray level in units of 1/256."""
        gray = np.arange(255 * SUBPIXEL**2 + 1) / SUBPIXEL**2
        levels: NDArray[np.int16] = np.rint(LEVEL_ONE * np.log1p(gray / self.dark)).astype(np.int16)
        return levels

    @property
    def silence(self) -> int:
        """Minimum number of sub-steps between two events of a pixel."""
        # Rounded first, because floating point may turn an integer quotient into a slightly larger number.
        return max(1, ceil(round(self.refractory_ms * self.steps * self.substeps / self.duration_ms, 6)))

    def record(self, images: NDArray[np.uint8]) -> NDArray[np.bool_]:
        """Spikes of the images (count, height, width) without noise, (steps, 2, SENSOR, SENSOR, count).

        A pixel keeps a reference level. In each sub-step in which the level differs from the reference by a threshold
        or more and the pixel is not refractory, the pixel emits one event and its reference moves by that threshold.
        No change is lost, but events of a fast change may be late.
        """
        padded = _place(images, self.amplitude)
        off, on = self.thresholds[..., None]
        reference = self._levels_at(padded, self.path[0])
        last = np.full(reference.shape, -self.silence, np.int32)
        spikes = np.zeros((self.steps, 2, *reference.shape), np.bool_)
        for index, position in enumerate(self.path[1:]):
            change = self._levels_at(padded, position) - reference
            rises, falls = change >= on, change <= -off
            if self.silence > 1:
                ready = index - last >= self.silence
                rises &= ready
                falls &= ready
                np.copyto(last, index, where=rises | falls)
            reference += rises * on
            reference -= falls * off
            spikes[index // self.substeps, ON] |= rises
            spikes[index // self.substeps, OFF] |= falls
        return spikes

    def _levels_at(self, padded: NDArray[np.uint16], position: NDArray[np.int64]) -> NDArray[np.int16]:
        """Levels of all pixels, (SENSOR, SENSOR, count), with the image at ``position``."""
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
        """Addresses and offsets, in the layout of ``Events``, of images (count, height, width), batch by batch.

        Offsets start at 0 in each batch. The seed of an image's noise is made from ``split`` and its index, so its
        recording does not depend on the batch size.
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
    """Enlarge square images (count, side, side) to 28 pixels a side, bilinear; larger images stay unchanged.

    OpzoError if they exceed the sensor.
    """
    side = images.shape[1]
    if side > SENSOR:
        raise OpzoError(
            f"images of {side} x {side} pixels exceed the camera's {SENSOR} x {SENSOR} pixels; give smaller images"
        )
    if side >= IMAGE:
        return images
    # In units of 1 / (2 * IMAGE) pixel all numbers are integers; the outermost half pixel repeats the edge.
    unit = 2 * IMAGE
    position = np.clip((2 * np.arange(IMAGE) + 1) * side - IMAGE, 0, unit * (side - 1))
    weights = np.maximum(unit - abs(position[:, None] - unit * np.arange(side)), 0)
    total = np.einsum("ri,nij,cj->nrc", weights, images.astype(np.int64), weights, optimize=True)
    enlarged: NDArray[np.uint8] = ((total + unit**2 // 2) // unit**2).astype(np.uint8)
    return enlarged


def _place(images: NDArray[np.uint8], amplitude: float) -> NDArray[np.uint16]:
    """Center images on black, large enough for every camera position; count becomes the last axis."""
    _, height, width = images.shape
    margin = ceil(amplitude / 2) + 1
    padded = np.zeros((SENSOR + 2 * margin, SENSOR + 2 * margin, len(images)), np.uint16)
    top, left = margin + (SENSOR - height) // 2, margin + (SENSOR - width) // 2
    padded[top : top + height, left : left + width] = images.transpose(1, 2, 0)
    return padded
