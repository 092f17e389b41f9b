"""Inputs of a convolution reach a device channel-last, once, from every source of samples."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from golden_device import GoldenDevice
from numpy.typing import NDArray

from opzo.host.data.augment import Augmentation
from opzo.host.data.events.dense import dense_events
from opzo.host.data.images.frames import Frames
from opzo.host.driver.input_order import channel_last_shape, check_shape, to_channel_first, to_channel_last
from opzo.host.driver.sample import Result, Sample
from opzo.host.stream.stream import Stream
from opzo.spec.errors import OpzoError
from opzo.spec.events import decode_frame_pairs, decode_steps
from opzo.spec.network import Network
from opzo.spec.rules import Input, Rule

SHAPE = 3, 4, 5
NETWORK = Network("3x4x5-4c3-2")
RNG = np.random.default_rng(5)
IMAGES = RNG.integers(0, 256, (6, *SHAPE), np.uint8)
LABELS = np.arange(6) % 2
SPIKES = RNG.integers(0, 2, (4, 11, *SHAPE), np.uint8)
GRADED = SPIKES * RNG.integers(1, 256, SPIKES.shape, np.uint8)


def test_addresses_by_hand() -> None:
    # Channel 2, row 1, column 3 of 3 x 4 x 5.
    assert to_channel_last(np.array([2 * 20 + 1 * 5 + 3]), SHAPE) == (1 * 5 + 3) * 3 + 2
    assert channel_last_shape(NETWORK) == SHAPE
    for dense in ("60-4-2", "3x4x5-4-2"):
        assert channel_last_shape(Network(dense)) is None


@pytest.mark.parametrize("shape", [SHAPE, (1, 28, 28), (2, 7, 1), (6, 32, 32), (16, 32, 32)])
def test_orders_are_inverse_and_those_of_arrays(shape: tuple[int, int, int]) -> None:
    addresses = np.arange(np.prod(shape))
    images = addresses.reshape(shape)
    np.testing.assert_array_equal(to_channel_first(addresses, shape), images.transpose(1, 2, 0).reshape(-1))
    np.testing.assert_array_equal(to_channel_first(to_channel_last(addresses, shape), shape), addresses)
    np.testing.assert_array_equal(to_channel_last(to_channel_first(addresses, shape), shape), addresses)


def frame(sample: Sample, size: int = 60) -> NDArray[np.int64]:
    addresses, values, _ = decode_frame_pairs(sample.runs[0])
    pixels = np.zeros(size, np.int64)
    pixels[addresses] = values
    return pixels


@pytest.mark.parametrize("channels_last", [False, True])
def test_frames_are_sent_channel_last(channels_last: bool) -> None:
    given = IMAGES.transpose(0, 2, 3, 1) if channels_last else IMAGES
    # Five columns: the axes alone do not show which of 3, 4 and 5 are the channels.
    frames = Frames.of(given, LABELS, shape=SHAPE)
    assert frames.channels_last == channels_last
    frames.check(NETWORK, "x")
    order = np.array([4, 0, 3])
    for index, sample in zip(order, frames.samples(order, channel_last=SHAPE), strict=True):
        np.testing.assert_array_equal(frame(sample), IMAGES[index].transpose(1, 2, 0).reshape(-1))
        assert sample.label == LABELS[index]
    # A dense network gets the pixels in their own order.
    np.testing.assert_array_equal(frame(next(frames.samples())), given[0].reshape(-1))


@pytest.mark.parametrize("channels_last", [False, True])
def test_moved_frames_are_sent_channel_last(channels_last: bool) -> None:
    frames = Frames.of(IMAGES.transpose(0, 2, 3, 1) if channels_last else IMAGES, LABELS, shape=SHAPE)
    augmentation = Augmentation(0, 0, 1.0, True)
    order, draws = np.array([1, 5]), augmentation.draw(0, 0, 2)
    samples = augmentation.samples(frames, order, draws, channel_last=SHAPE)
    for index, draw, sample in zip(order, draws, samples, strict=True):
        moved = augmentation.move(IMAGES[index], draw)
        np.testing.assert_array_equal(frame(sample), moved.transpose(1, 2, 0).reshape(-1))


def steps_of(runs: list[bytes] | tuple[bytes, ...], *, graded: bool) -> Iterator[NDArray[np.int64]]:
    """Values (inputs,) of each time step."""
    for run in runs:
        chunk, _ = decode_steps(run, graded=graded)
        for begin, end in zip([0, *chunk.ends], chunk.ends, strict=False):
            addresses = chunk.addresses[begin:end]
            assert (np.diff(addresses) > 0).all()
            values = np.zeros(60, np.int64)
            values[addresses] = chunk.values[begin:end]
            yield values


@pytest.mark.parametrize(("x", "kind"), [(SPIKES, Input.SPIKES), (GRADED, Input.GRADED)])
def test_events_are_sent_channel_last_and_ascending(x: NDArray[np.uint8], kind: Input) -> None:
    events = dense_events(x, [0, 1, 0, 1], kind)
    events.check(Network("3x4x5-4c3-2", 11, input=kind), "x")
    for index, sample in enumerate(events.samples(channel_last=SHAPE)):
        expected = x[index].transpose(0, 2, 3, 1).reshape(11, -1)
        np.testing.assert_array_equal(list(steps_of(sample.runs, graded=kind.graded)), expected)
    first = list(steps_of(next(events.samples()).runs, graded=kind.graded))
    np.testing.assert_array_equal(first, x[0].reshape(11, -1))


@pytest.mark.parametrize(("x", "kind"), [(SPIKES, Input.SPIKES), (GRADED, Input.GRADED)])
def test_a_stream_is_sent_channel_last(x: NDArray[np.uint8], kind: Input, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[bytes] = []

    def start_run(self: Any, run: bytes, *_: Any) -> None:
        sent.append(run)

    network = Network("3x4x5-4c3-2", 11, input=kind)
    dense = Network("60-4-2", 11, input=kind)
    with GoldenDevice(dense.limits(4)) as device:
        device.configure(dense, Rule.OPZO)
        device.network = network
        monkeypatch.setattr(type(device), "start_run", start_run)
        monkeypatch.setattr(type(device), "finish_run", lambda *_, **__: Result(0, 0, np.zeros(2, np.int32)))
        stream = Stream(device, network)
        for values in x[0].reshape(11, -1):
            addresses = np.flatnonzero(values)
            stream.step(addresses, values[addresses] if kind.graded else None)
            stream._send()
    np.testing.assert_array_equal(list(steps_of(sent, graded=kind.graded)), x[0].transpose(0, 2, 3, 1).reshape(11, -1))


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((4, 3, 5), r"x has samples of 4 x 3 x 5; network 3x4x5-4c3-2 takes 3 x 4 x 5, as channels x height x width$"),
        ((3, 5, 4), "x has samples of 3 x 5 x 4; network 3x4x5-4c3-2 takes 3 x 4 x 5"),
        ((1, 1, 60), "x has samples without height and width; network 3x4x5-4c3-2 takes 3 x 4 x 5"),
        (None, r"network 3x4x5-4c3-2 takes 3 x 4 x 5, .*x\.reshape\(-1, 3, 4, 5\)"),
    ],
)
def test_other_shapes_are_refused(shape: tuple[int, int, int] | None, message: str) -> None:
    with pytest.raises(OpzoError, match=message):
        check_shape(shape, NETWORK, "x")
    with pytest.raises(OpzoError, match=message):
        Frames(IMAGES.reshape(6, -1), LABELS.astype(np.uint8), shape).check(NETWORK, "x")
    check_shape(shape, Network("60-4-2"), "x")


def test_flat_samples_fit_one_channel() -> None:
    flat = Frames.of(RNG.integers(0, 256, (2, 20), np.uint8), [0, 1])
    flat.check(Network("1x4x5-4c3-2"), "x")
    np.testing.assert_array_equal(frame(next(flat.samples(channel_last=(1, 4, 5))), 20), flat.x[0])
    with pytest.raises(OpzoError, match="20 pixels per frame; network 1x4x6-4c3-2 has 24 inputs"):
        flat.check(Network("1x4x6-4c3-2"), "x")
    with pytest.raises(OpzoError, match=r"samples of 1 x 4 x 5; .* takes 1 x 5 x 4"):
        Frames.of(IMAGES[:, 0], LABELS).check(Network("1x5x4-4c3-2"), "x")


def test_colours_for_a_network_of_two_channels_a_colour_have_a_remedy() -> None:
    with pytest.raises(OpzoError, match=r"takes 6 x 4 x 5, .*: code colours by two channels each with --contrast 1"):
        Frames.of(IMAGES, LABELS, shape=SHAPE).check(Network("6x4x5-4c3-2"), "x")
    Frames.of(IMAGES, LABELS, shape=SHAPE).by_contrast().check(Network("6x4x5-4c3-2"), "x")
