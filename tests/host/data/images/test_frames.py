"""Images and labels as users give them: scale, shape, types; dense arrays of events."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from opzo.host.data.data_sets import load_data, load_saccade
from opzo.host.data.events.dense import dense_events
from opzo.host.data.events.event_samples import Events
from opzo.host.data.images.frames import Frames, check_pixels
from opzo.spec.errors import OpzoError
from opzo.spec.limits import MAX_INPUTS
from opzo.spec.rules import Input

RNG = np.random.default_rng(7)
LIT = RNG.integers(0, 2, (4, 5, 3))
LABELS = np.array([0, 1, 2, 1])


def test_black_and_white_images_of_type_bool_are_scaled() -> None:
    np.testing.assert_array_equal(check_pixels(LIT.astype(bool)), LIT.reshape(4, 15) * 255)
    np.testing.assert_array_equal(check_pixels(LIT.astype(bool).tolist()), LIT.reshape(4, 15) * 255)


@pytest.mark.parametrize("kind", [np.uint8, np.int64, np.uint16, np.float16, np.float32, np.float64])
def test_values_of_0_and_1_are_refused_in_any_other_type(kind: type) -> None:
    with pytest.raises(OpzoError, match=r"has only values 0 and 1, .* multiply it by 255, or give it as bool; for"):
        Frames.of(LIT.astype(kind), LABELS)
    np.testing.assert_array_equal(Frames.of(LIT.astype(kind), LABELS, as_is=True).x, LIT.reshape(4, 15))
    assert not check_pixels(np.zeros((2, 9), kind)).any(), "black images have no scale"


@pytest.mark.parametrize("high", [0.004, 0.5, 0.99, 1.02, 1.5])
def test_values_up_to_a_little_above_1_are_refused(high: float) -> None:
    with pytest.raises(OpzoError, match=rf"is scaled to 0..1; multiply it by 255 .*{high:g}"):
        Frames.of(LIT * high, LABELS)
    with pytest.raises(OpzoError, match=r"is scaled to 0..1"):
        Frames.of(np.linspace(0, 1, 60).reshape(4, 15), LABELS)


def test_other_scales_are_told(caplog: pytest.LogCaptureFixture) -> None:
    for array, values in ((LIT * 2.0 - 1, "-1 to 1"), (LIT * 65535, "0 to 65535")):
        with pytest.raises(OpzoError, match=f"values from {values}; .* rescale it"):
            Frames.of(array, LABELS)
    Frames.of(LIT * 16, LABELS, "the digits")
    assert "the digits has no value above 16, where 255 is white" in caplog.text


@pytest.mark.parametrize(
    ("shape", "expected", "last"),
    [
        ((28, 20), (1, 28, 20), False),
        ((3, 8, 9), (3, 8, 9), False),
        ((8, 9, 3), (3, 8, 9), True),
        ((28, 28, 1), (1, 28, 28), True),
        ((2, 34, 34), (2, 34, 34), False),
        ((5, 8, 9), None, False),
        ((3, 4, 4), None, False),
        ((1, 1, 64), None, False),
        ((64,), None, False),
    ],
)
def test_shape_is_known_or_not(shape: tuple[int, ...], expected: tuple[int, ...] | None, last: bool) -> None:
    x = RNG.integers(0, 256, (2, *shape), np.uint8)
    frames = Frames.of(x, [0, 1])
    assert (frames.shape, frames.channels_last) == (expected, last)
    np.testing.assert_array_equal(frames.x, x.reshape(2, -1))
    if expected is not None:
        planes = frames.planes(frames.x)
        np.testing.assert_array_equal(planes[1, -1], x[1, ..., -1] if last else x[1].reshape(expected)[-1])
        np.testing.assert_array_equal(frames.flat(planes), frames.x)


def test_digest_tells_shapes_apart() -> None:
    x = RNG.integers(0, 256, (4, 4, 8, 8), np.uint8)
    arrays = (x, x.reshape(4, 16, 16), x.reshape(4, 256), x.reshape(4, 8, 8, 4), x.reshape(4, 8, 32))
    assert len({Frames.of(array, LABELS).digest for array in arrays}) == len(arrays)
    lit = np.where(np.arange(240) % 7 == 0, 1, 0).reshape(4, 5, 12)
    shapes = ((4, 5, 12), (4, 5, 1, 3, 4), (4, 5, 3, 2, 2))
    assert len({dense_events(lit.reshape(shape), LABELS).digest for shape in shapes}) == 3


def write(path: Path, **changes: Any) -> str:
    x = RNG.integers(0, 256, (6, 4, 8, 8), np.uint8)
    arrays = {"x_train": x, "y_train": np.arange(6) % 3, "x_test": x[:3], "y_test": np.arange(3)} | changes
    np.savez(path / "mine.npz", **{name: array for name, array in arrays.items() if array is not None})
    return str(path / "mine.npz")


def test_file_says_the_shape_of_flat_images(tmp_path: Path) -> None:
    x = RNG.integers(0, 256, (6, 256), np.uint8)
    data = load_data(write(tmp_path, x_train=x, x_test=x[:3], shape=(4, 8, 8)))
    assert isinstance(data.train, Frames)
    assert data.train.shape == (4, 8, 8)
    for shape in ((3, 8, 8), (0, 8, 8), (8, 8), (4.0, 8, 8)):
        with pytest.raises(OpzoError, match="shape"):
            load_data(write(tmp_path, x_train=x, x_test=x[:3], shape=shape))
    with pytest.raises(OpzoError, match=r"x_train has shape .*; only the number of samples may differ"):
        load_data(write(tmp_path, x_test=x[:3].reshape(3, 8, 8, 4)))


@pytest.mark.parametrize("flat", ["x_train", "x_test"])
def test_one_part_says_the_shape_of_both(flat: str, tmp_path: Path) -> None:
    x = RNG.integers(0, 256, (6, 8, 9, 3), np.uint8)
    given = {"x_train": x, "x_test": x[:3]}
    data = load_data(write(tmp_path, **given | {flat: given[flat].reshape(-1, 216)}))
    for part in (data.train, data.test):
        assert isinstance(part, Frames)
        assert (part.shape, part.channels_last) == ((3, 8, 9), True)


def test_recordings_are_not_made_of_images_of_unknown_shape(tmp_path: Path) -> None:
    with pytest.raises(OpzoError, match=r"images of shape \(4, 8, 8\)"):
        load_saccade("saccade-" + write(tmp_path))
    flat = RNG.integers(0, 256, (6, 64), np.uint8)
    with pytest.raises(OpzoError, match="no height and width"):
        load_saccade("saccade-" + write(tmp_path, x_train=flat, x_test=flat[:3]))


def test_file_says_that_its_arrays_are_spikes(tmp_path: Path) -> None:
    lit = RNG.integers(0, 2, (6, 5, 12)).astype(np.uint8)
    lit[2] = 0
    lit[0, 0] = 1
    with pytest.raises(OpzoError, match=r"has only values 0 and 1.*array input='spikes'"):
        load_data(write(tmp_path, x_train=lit, x_test=lit[:3]))
    data = load_data(write(tmp_path, x_train=lit, x_test=lit[:3], input="spikes"))
    assert isinstance(data.train, Events)
    assert (data.train.input, data.train.steps, data.train.shape) == (Input.SPIKES, 5, (1, 1, 12))
    np.testing.assert_array_equal(data.train.dense(np.arange(6)), lit)
    graded = (lit * RNG.integers(0, 256, lit.shape)).reshape(6, 5, 2, 2, 3)
    data = load_data(write(tmp_path, x_train=graded, x_test=graded[:3], input="graded"))
    assert (data.train.input, data.train.shape) == (Input.GRADED, (2, 2, 3))
    np.testing.assert_array_equal(data.train.dense(np.arange(6)), graded.reshape(6, 5, 12))
    data = load_data(write(tmp_path, x_train=lit, x_test=lit[:3], input="frame"))
    np.testing.assert_array_equal(data.train.dense(np.arange(6)), lit.reshape(6, 60))
    with pytest.raises(OpzoError, match=r"has shape \(4, 5, 1, 3, 4\); .*input='spikes'"):
        check_pixels(np.ones((4, 5, 1, 3, 4)))
    with pytest.raises(OpzoError, match="input is spiky; expected frame, spikes, graded"):
        load_data(write(tmp_path, input="spiky"))


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.zeros((4, 3)), "has shape"),
        (np.full((4, 2, 3), 2), "whole numbers from 0 to 1"),
        (np.full((4, 2, 3), np.nan), "whole numbers"),
        (np.full((4, 2, 3), 0.5), "whole numbers"),
        (np.full((4, 2, 3), "a"), "whole numbers"),
        (np.zeros((4, 1, MAX_INPUTS + 1), np.uint8), f"{MAX_INPUTS + 1} inputs per time step"),
    ],
)
def test_dense_arrays_that_are_no_events(x: np.ndarray, message: str) -> None:
    with pytest.raises(OpzoError, match=message):
        dense_events(x, LABELS)


def test_images_of_several_shapes_are_refused() -> None:
    with pytest.raises(OpzoError, match="x is not an array of numbers; give images of one shape"):
        Frames.of([[1, 2], [3]], [0, 1])


def test_a_column_of_labels_is_taken() -> None:
    assert Frames.of(LIT * 255, LABELS[:, None]).y.tolist() == LABELS.tolist()


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.eye(3)[LABELS], r"shape \(4, 3\), which looks one-hot; .*argmax"),
        (["cat", "dog", "cat", "cow"], r"of type <U3; .*numpy.unique"),
        ([0, 1, np.nan, 1], "label nan at index 2"),
        ([0, 1, np.inf, 1], "label inf at index 2"),
        ([0, 1, 64, 1], r"label 64 at index 2; .*at most 64 classes \(0..63\)"),
        ([0, 1, 300, 1], "label 300 at index 2"),
        ([0, -1, 0, 1], "label -1 at index 1"),
        ([0, 0.5, 0, 1], "label 0.5 at index 1"),
        ([[0], [1], [2, 3], [1]], "entries of different shapes"),
        (np.array([0, 1, 2, None]), "of type object"),
    ],
)
def test_labels_that_cannot_be(labels: Any, message: str) -> None:
    with pytest.raises(OpzoError, match=message):
        Frames.of(LIT * 255, labels)


def test_classes_that_one_part_lacks_are_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    load_data(write(tmp_path))
    assert not caplog.text
    load_data(write(tmp_path, y_test=np.array([0, 1, 5])))
    assert "1 classes (5) have test samples but no training samples" in caplog.text
    assert "1 classes (2) have training samples but no test samples" in caplog.text
    load_data(write(tmp_path, y_train=np.arange(6) % 3 + 1, y_test=np.arange(3) + 1))
    assert "labels start at 1" in caplog.text


def test_home_folder_in_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    write(tmp_path)
    assert len(load_data("~/mine.npz").train) == 6
    with pytest.raises(OpzoError, match=f"there is no train-images.* in {tmp_path}/nowhere"):
        load_data("mnist", "~/nowhere")
    with pytest.raises(OpzoError, match="there is no home folder for ~nobody-of-that-name/x"):
        load_data("mnist", "~nobody-of-that-name/x")
