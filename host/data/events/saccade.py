"""Synthetic event data sets: images recorded by the simulated camera, kept in the cache."""

import logging
from pathlib import Path
from time import monotonic

import numpy as np
from numpy.typing import NDArray

from opzo.host.data.events.event_samples import Events
from opzo.host.data.events.saccade_camera import SENSOR, SaccadeCamera, enlarge
from opzo.host.data.images.frames import Frames
from opzo.spec.errors import OpzoError
from opzo.system.cache import cache_root, cached, content_hash

SPLITS = ("train", "test")
REPORT_S = 10.0
_VERSION = 1
"""Part of the cache key; increase it when the recording of the same images by the same camera changes."""

logger = logging.getLogger(__name__)


def record_images(train: Frames, test: Frames, name: str, camera: SaccadeCamera) -> tuple[Events, Events]:
    """Recordings of the training and the test images of the data set ``name``.

    They are recorded once and cached; the arrays returned are memory-mapped. OpzoError where the images do not suit the
    camera.
    """
    parts = (train, test)
    images = [_images(frames, name) for frames in parts]
    key = content_hash(_VERSION, camera, *(part.shape for part in images), *(part.tobytes() for part in images))

    def build(folder: Path) -> None:
        for split, part in enumerate(images):
            _make(camera, part, split, folder)

    folder = cached(cache_root() / f"saccade-{key}", build)
    recorded_train, recorded_test = (_load(folder, *split) for split in zip(SPLITS, parts, strict=True))
    return recorded_train, recorded_test


def _images(frames: Frames, name: str) -> NDArray[np.uint8]:
    if frames.shape is None:
        raise OpzoError(
            f"{name} has {frames.inputs} pixels per frame, but no height and width; store images as "
            "(count, height, width)"
        )
    channels, height, width = frames.shape
    if channels != 1 or height != width:
        raise OpzoError(f"{name} has images of shape {frames.shape}; the camera needs square ones with one channel")
    return enlarge(frames.x.reshape(-1, height, width))


def _make(camera: SaccadeCamera, images: NDArray[np.uint8], split: int, folder: Path) -> None:
    """Record the images of one split and write ``.npy`` files, which can be memory-mapped."""
    addresses, offsets, done, total = [], [], 0, 0
    reported = monotonic()
    for batch_addresses, batch_offsets in camera.recordings(images, split):
        addresses.append(batch_addresses)
        offsets.append(batch_offsets + total)
        done, total = done + len(batch_offsets), total + len(batch_addresses)
        if monotonic() - reported > REPORT_S:
            reported = monotonic()
            logger.info("recorded %d of %d images (%s, synthetic)", done, len(images), SPLITS[split])
    np.save(folder / f"{SPLITS[split]}_addresses.npy", np.concatenate(addresses))
    np.save(folder / f"{SPLITS[split]}_offsets.npy", np.concatenate(offsets))


def _load(folder: Path, split: str, frames: Frames) -> Events:
    # Plain arrays on the mapped files, because slicing np.memmap is slow.
    addresses, offsets = (
        np.asarray(np.load(folder / f"{split}_{name}.npy", mmap_mode="r")) for name in ("addresses", "offsets")
    )
    name = f"the synthetic recording in {folder}"
    return Events(addresses, offsets, frames.y, (2, SENSOR, SENSOR), name=name, names=frames.names)
