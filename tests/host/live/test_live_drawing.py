import numpy as np
import pytest
from numpy.typing import NDArray

from opzo.host.data.data_set import Data
from opzo.host.data.data_sets import load_data
from opzo.host.data.events.dense import dense_events
from opzo.host.data.images.frames import Frames
from opzo.host.live.drawing import AS_DRAWN, PREPARATIONS, DrawingBoard, Preparation, image_of
from opzo.spec.errors import OpzoError

DIGITS, MNIST = PREPARATIONS["digits"], PREPARATIONS["mnist"]
RING = [[(0.5 + 0.2 * np.cos(t), 0.4 + 0.3 * np.sin(t)) for t in np.linspace(0, 2 * np.pi, 40)]]
ELL = [[(0.1, 0.1), (0.1, 0.5), (0.3, 0.5)]]


def mass(image: NDArray[np.uint8]) -> tuple[float, float]:
    middle = np.arange(len(image)) + 0.5
    ink = image.astype(float)
    return float((ink.sum(0) * middle).sum() / ink.sum()), float((ink.sum(1) * middle).sum() / ink.sum())


def box(image: NDArray[np.uint8]) -> tuple[int, int, int, int]:
    rows, columns = np.flatnonzero(image.any(1)), np.flatnonzero(image.any(0))
    return int(rows[0]), int(rows[-1]), int(columns[0]), int(columns[-1])


def test_digits_fill_the_height_in_the_middle_with_counts_of_blocks() -> None:
    image = image_of(RING, 8, DIGITS)
    top, bottom, left, right = box(image)
    assert (top, bottom) == (0, 7)
    assert left == 7 - right
    # Pixels are counts 0..16 of black pixels, as those of the data set.
    assert set(np.unique(image)) <= set(np.rint(np.arange(17) * 255 / 16).astype(int).tolist())


def test_digits_have_the_ink_of_the_data_set() -> None:
    mean = load_data("digits").train.dense(np.arange(500)).mean()
    # A ring has about the length of a mean digit.
    assert image_of(RING, 8, DIGITS).mean() == pytest.approx(mean, rel=0.1)


def test_mnist_is_in_a_box_of_20_pixels_with_its_mass_in_the_middle() -> None:
    image = image_of(ELL, 28, MNIST)
    top, bottom, left, right = box(image)
    # Anti-aliased edges reach into neighbouring pixels.
    assert bottom - top + 1 in (20, 21, 22)
    assert right - left + 1 < 16
    assert mass(image) == pytest.approx((14, 14), abs=0.2)
    # The corner is far from the middle: the box is not what is centred.
    assert abs((top + bottom + 1) / 2 - 14) > 1


def test_size_and_place_do_not_matter_for_digits() -> None:
    smaller = [[(0.6 + x / 2, 0.3 + y / 2) for x, y in RING[0]]]
    np.testing.assert_array_equal(image_of(RING, 8, DIGITS), image_of(smaller, 8, DIGITS))


def test_other_images_are_as_drawn() -> None:
    image = image_of([[(0.25, 0.75)]], 20, AS_DRAWN)
    # A dot of 1.8 pixels around (5, 15).
    assert image[14:16, 4:6].min() > 150
    assert image.sum() == image[13:17, 3:7].sum()


def test_covered_share_of_a_pixel() -> None:
    image = image_of([[(0.0, 0.5), (1.0, 0.5)]], 5, Preparation(pen=0.3))
    # A pen of 1.5 pixels over row 2 covers all of it and a quarter of its neighbours.
    assert image[:, 2].tolist() == [0, 64, 255, 64, 0]


def test_board_makes_samples_of_the_data_set() -> None:
    rng = np.random.default_rng(0)
    colours = Frames.of(rng.integers(0, 256, (20, 3, 12, 16)), np.arange(20) % 2)
    last = Frames.of(np.moveaxis(colours.planes(colours.x), 1, -1), colours.y)
    for samples in (colours, last, colours.by_contrast()):
        drawn = DrawingBoard(samples, "mine").frames(ELL, 1)
        assert (drawn.shape, drawn.channels_last, drawn.y.tolist()) == (samples.shape, samples.channels_last, [1])
        assert drawn.x.shape == (1, samples.x.shape[1])
        planes = drawn.planes(drawn.x)[0]
        if samples.contrast is None:
            np.testing.assert_array_equal(planes[0], planes[2])
            # A square in the middle of a wider image.
            assert planes[0, :, :2].sum() == planes[0, :, -2:].sum() == 0
            assert planes[0].sum() > 0


def test_board_refuses_what_cannot_be_drawn() -> None:
    flat = Frames.of(np.full((4, 9), 99), [0, 1, 0, 1])
    with pytest.raises(OpzoError, match=r"mine has images without height and width.*shape="):
        DrawingBoard(flat, "mine")
    events = dense_events(np.ones((2, 3, 4), np.uint8), np.array([0, 1]))
    with pytest.raises(OpzoError, match="mine has events; the live page draws images"):
        DrawingBoard(Data("mine", events, events).train, "mine")
