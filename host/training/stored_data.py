"""Training and test samples in the sample store of a device."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from opzo.host.data.augment import Augmentation
from opzo.host.data.images.frames import Frames
from opzo.host.driver.device import Device
from opzo.host.driver.input_order import channel_last_shape
from opzo.host.driver.sample_store import StoredSet, StoreImage, store_image, upload
from opzo.host.driver.statistics import Tally, counter_array
from opzo.host.driver.stored_block import ImageShape, StoredBlock
from opzo.host.report.units import size_text
from opzo.host.training.evaluation import Samples
from opzo.host.training.reports import Watcher
from opzo.spec.network import Network

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


def data_image(network: Network, train: Samples, test: Samples | None, room: int) -> StoreImage | None:
    """Contents of a store to train and test ``network``; None where they need more than ``room`` bytes."""
    order = channel_last_shape(network)
    sets = [("train", train.samples(channel_last=order), len(train))]
    if test is not None:
        sets.append(("test", test.samples(channel_last=order), len(test)))
    return store_image(sets, room)


def store_data(
    device: Device,
    network: Network,
    train: Samples,
    test: Samples | None,
    augmentation: Augmentation,
    watcher: Watcher,
) -> StoredData | None:
    """Bring training and test samples into the store of a device, or the training samples alone where both do not fit.

    What the store has already is not sent. None where the device has no store, or one that is too small, or cannot
    augment the images itself; ``watcher`` hears which.
    """
    room = device.limits.store
    if not room:
        return None
    shape = _shape(train, network) if augmentation.shift else ImageShape(0, 0, 0)
    if not augmentation.on_device or shape is None:
        watcher.note("each sample is sent to the device when it is its turn: the host augments the images")
        return None
    image = data_image(network, train, test, room) or data_image(network, train, None, room)
    if image is None:
        watcher.note(
            "each sample is sent to the device when it is its turn: all of them need more than the "
            f"{size_text(room)} of its sample store"
        )
        return None
    sent = upload(device, image, watcher.uploading)
    watcher.note(
        f"training from the device's sample store: {size_text(len(image.data))} of {size_text(room)} are used, "
        f"{size_text(sent)} had to be sent"
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
