"""Inputs rearranged for a first convolution with a stride: the sums are those of PyTorch's convolution."""

import numpy as np
import pytest
from numpy.typing import NDArray

from opzo.host.data.events.event_samples import Events
from opzo.host.data.events.strided import Strided
from opzo.spec.errors import OpzoError


def convolved(x: NDArray[np.float64], weight: NDArray[np.float64], stride: int, padding: int) -> NDArray[np.float64]:
    """By definition: x (channels, height, width)."""
    kernel = weight.shape[-1]
    padded = np.pad(x, ((0, 0), (padding, padding), (padding, padding)))
    views = np.lib.stride_tricks.sliding_window_view(padded, (kernel, kernel), (1, 2))[:, ::stride, ::stride]
    return np.einsum("cyxij,ocij->oyx", views, weight)


@pytest.mark.parametrize(
    ("text", "height", "width", "shape"),
    [
        ("5s2p1", 34, 34, (32, 16, 16)),
        ("3s2p1", 9, 12, (8, 5, 6)),
        ("3s2p0", 7, 8, (18, 3, 3)),
        ("5s1p0", 11, 9, (50, 7, 5)),
        ("3s1p2", 5, 6, (2, 7, 8)),
        ("2s2p0", 8, 8, (8, 4, 4)),
        ("4s4p2", 13, 14, (32, 4, 4)),
        ("1s3p1", 7, 8, (2, 3, 4)),
        ("2s3p0", 10, 11, (8, 3, 4)),
        ("7s3p0", 20, 22, (98, 5, 6)),
    ],
)
def test_sums_are_those_of_the_original(text: str, height: int, width: int, shape: tuple[int, int, int]) -> None:
    strided, rng = Strided.parse(text), np.random.default_rng(1)
    x = rng.integers(0, 9, (2, height, width)).astype(float)
    weight = rng.integers(-9, 9, (3, 2, strided.kernel, strided.kernel)).astype(float)
    assert strided.shape(x.shape) == shape
    places = strided.addresses(x.shape)
    kept = places[places >= 0]
    assert len(np.unique(kept)) == len(kept)
    arranged = np.zeros(np.prod(shape))
    arranged[kept] = x.reshape(-1)[places >= 0]
    made = strided.weight(weight, x.shape)
    ours = convolved(arranged.reshape(shape), made, 1, strided.new_kernel // 2)
    np.testing.assert_array_equal(ours, convolved(x, weight, strided.stride, strided.padding))


@pytest.mark.parametrize("graded", [False, True])
def test_events_keep_their_steps_and_values(graded: bool) -> None:
    rng, strided = np.random.default_rng(2), Strided.parse("2s3p0")
    lit = rng.random((4, 3, 2 * 10 * 11)) < 0.3
    ends = np.concatenate([[0], np.cumsum(lit.sum(2).reshape(-1))])
    offsets = np.lib.stride_tricks.sliding_window_view(ends, 4)[::3].copy()
    values = rng.integers(1, 256, int(lit.sum())).astype(np.uint8) if graded else None
    events = Events(np.nonzero(lit)[2].astype(np.uint16), offsets, np.zeros(4, np.uint8), (2, 10, 11), values)
    arranged = events.rearranged(strided)
    assert arranged.shape == (8, 3, 4)
    places = strided.addresses(events.shape)
    before, after = events.dense(np.arange(4)), arranged.dense(np.arange(4))
    np.testing.assert_array_equal(after[:, :, places[places >= 0]], before[:, :, places >= 0])
    assert after.sum() == before[:, :, places >= 0].sum()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("5x2", "'5x2' is not a convolution; write kernel, stride and padding like 5s2p1"),
        ("0s1p0", "is not a convolution"),
        ("9s1p4", "a kernel of 9 with stride 1 is one of 9 with stride 1; the chip has 1, 3 and 5"),
        ("5s1p0", "a convolution 5s1p0 does not fit inputs of 4 rows or columns"),
    ],
)
def test_convolutions_that_cannot_be(text: str, message: str) -> None:
    with pytest.raises(OpzoError, match=message):
        Strided.parse(text).weight(np.ones((1, 1, 9, 9)), (1, 4, 4))
