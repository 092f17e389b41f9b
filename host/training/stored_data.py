"""Training and test samples in the sample store of a device."""

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from opzo.host.data.augment import Augmentation
from opzo.host.data.images.frames import Frames
from opzo.host.driver.device import Device
from opzo.host.driver.input_order import channel_last_shape
from opzo.host.driver.sample_store import Progress, StoredSet, store_image, upload
from opzo.host.driver.statistics import Tally, counter_array
from opzo.host.driver.stored_block import ImageShape, StoredBlock
from opzo.host.report.units import size_text
from opzo.host.training.evaluation import Samples
from opzo.spec.network import Network

logger = logging.getLogger(__name__)

TEST_BLOCK = 1024
"""Test samples of a block."""


@dataclass(frozen=True)
class StoredData:
    """Where the samples are.

    Attributes
    ----------
    train, test : StoredSet or None
        None where they are not in the store.
    shift : int
        Most pixels by which the device shifts training images.
    shape : ImageShape
        Of training images that are shifted.
    """

    train: StoredSet
    test: StoredSet | None
    shift: int
    shape: ImageShape

    def test_blocks(self) -> Iterator[StoredBlock]:
        """Blocks of all test samples, as stored."""
        assert self.test is not None
        for first in range(0, self.test.samples, TEST_BLOCK):
            count = min(TEST_BLOCK, self.test.samples - first)
            yield StoredBlock(self.test.table, self.test.samples, first, count)


def run_blocks(device: Device, blocks: Iterable[StoredBlock], tally: Tally) -> Iterator[int]:
    """Run blocks, which ``tally`` counts; yields the samples of each, while the next one is under way."""
    before, sent = counter_array(device.counters()), device.bytes_sent
    for result in device.run_stored(blocks):
        tally.add_block(result, before)
        tally.sent += device.bytes_sent - sent
        before, sent = result.counters, device.bytes_sent
        yield result.samples


def store_data(
    device: Device,
    network: Network,
    train: Samples,
    test: Samples | None,
    augmentation: Augmentation,
    progress: Progress,
) -> StoredData | None:
    """Bring training and test samples into the store of a device, or the training samples alone where both do not fit.

    What the store has already is not sent. None where the device has no store, or one that is too small, or cannot
    augment the images itself; the log says which.
    """
    room = device.limits.store
    if not room:
        return None
    shape = _shape(train, network) if augmentation.shift else ImageShape(0, 0, 0)
    if not augmentation.on_device or shape is None:
        logger.info("samples are sent one by one: the host augments them")
        return None
    order = channel_last_shape(network)
    sets = [("train", train.samples(channel_last=order), len(train))]
    if test is not None:
        sets.append(("test", test.samples(channel_last=order), len(test)))
    image = store_image(sets, room)
    if image is None and test is not None:
        image = store_image([("train", train.samples(channel_last=order), len(train))], room)
    if image is None:
        logger.info("samples are sent one by one: they need more than the %s of the sample store", size_text(room))
        return None
    sent = upload(device, image, progress)
    logger.info(
        "training from the device's sample store: %s of %s, of which %s were sent",
        *(size_text(len(image.data)), size_text(room), size_text(sent)),
    )
    return StoredData(image.sets[0], image.sets[1] if len(image.sets) > 1 else None, int(augmentation.shift), shape)


def _shape(samples: Samples, network: Network) -> ImageShape | None:
    """How the pixels of images lie in a device; None where a shift would mix channels."""
    if not isinstance(samples, Frames) or samples.shape is None:
        return None
    channels, height, width = samples.shape
    if channels > 1 and channel_last_shape(network) is None and not samples.channels_last:
        return None
    return ImageShape(height, width * channels, channels)
