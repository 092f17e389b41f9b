"""Data sets: what they hold, and what a user gets who gives the wrong thing."""

import gzip
import pickle
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from opzo.host.data.data_sets import MNIST_FILES, Frames, encode_frame, load_data
from opzo.host.data.images.idx import read_idx
from opzo.spec.errors import OpzoError
from opzo.spec.events import decode_frame_pairs
from opzo.spec.network import Network


def idx(array: np.ndarray, kind: int = 8) -> bytes:
    return bytes((0, 0, kind, array.ndim)) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def write_mnist(root: Path, *, packed: bool) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    arrays = [
        rng.integers(0, 256, (5, 4, 3), np.uint8),
        rng.integers(0, 10, 5, np.uint8),
        rng.integers(0, 256, (2, 4, 3), np.uint8),
        rng.integers(0, 10, 2, np.uint8),
    ]
    for name, array in zip(MNIST_FILES, arrays, strict=True):
        if packed:
            (root / f"{name}.gz").write_bytes(gzip.compress(idx(array)))
        else:
            (root / name).write_bytes(idx(array))
    return arrays


def arrays(**changes: Any) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    result = {
        "x_train": rng.integers(0, 256, (6, 3, 3)).astype(np.uint8),
        "y_train": np.array([0, 1, 2, 0, 1, 2]),
        "x_test": rng.integers(0, 256, (2, 9)).astype(np.float32),
        "y_test": np.array([2, 1], np.uint8),
    }
    return {name: value for name, value in (result | changes).items() if value is not None}


def test_digits_are_split_by_every_fifth_image() -> None:
    data = load_data("digits")
    assert (len(data.train), len(data.test)) == (1438, 359)
    assert data.train.x.shape[1] == 64
    assert (data.train.x.min(), data.train.x.max()) == (0, 255)
    assert set(data.train.y) == set(data.test.y) == set(range(10))


def test_every_image_of_the_digits_is_in_exactly_one_part() -> None:
    from sklearn.datasets import load_digits

    data, digits = load_data("digits"), load_digits()
    pixels = np.rint(digits.data * 255 / 16)
    np.testing.assert_array_equal(data.test.x, pixels[4::5])
    np.testing.assert_array_equal(data.test.y, digits.target[4::5])
    np.testing.assert_array_equal(data.train.x, np.delete(pixels, np.s_[4::5], axis=0))


@pytest.mark.parametrize("packed", [False, True])
def test_mnist_files_are_read_packed_or_not(tmp_path: Path, packed: bool) -> None:
    x_train, y_train, x_test, y_test = write_mnist(tmp_path, packed=packed)
    data = load_data("mnist", tmp_path)
    np.testing.assert_array_equal(data.train.x, x_train.reshape(5, 12))
    np.testing.assert_array_equal(data.train.y, y_train)
    np.testing.assert_array_equal(data.test.x, x_test.reshape(2, 12))
    np.testing.assert_array_equal(data.test.y, y_test)


def test_mnist_needs_a_folder_with_all_files(tmp_path: Path) -> None:
    with pytest.raises(OpzoError, match="give --data-root"):
        load_data("mnist")
    write_mnist(tmp_path, packed=True)
    (tmp_path / f"{MNIST_FILES[3]}.gz").unlink()
    with pytest.raises(OpzoError, match=r"there is no t10k-labels-idx1-ubyte\[.gz\] in"):
        load_data("mnist", tmp_path)


IMAGES = idx(np.zeros((2, 3, 3), np.uint8))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "it begins with nothing"),
        (b"PK\3\4 and so on, long enough for a head", "not an IDX file"),
        (idx(np.zeros(3, np.uint8)), "3 dimensions"),
        (idx(np.zeros((2, 3, 3), np.uint8), kind=0x0D), "not an IDX file of unsigned bytes"),
        (IMAGES[:-1], r"has 17 bytes of data for shape \(2, 3, 3\), expected 18"),
        (IMAGES + b"\0", "has more than 18 bytes"),
        (gzip.compress(IMAGES, mtime=0)[:-9], "cannot read"),
        (gzip.compress(IMAGES, mtime=0)[:12] + b"\xff" * 20, "cannot read|is not an IDX file"),
        (b"\x1f\x8bnot gzip at all", "cannot read"),
    ],
)
def test_damaged_idx_file(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    with pytest.raises(OpzoError, match=message):
        read_idx(path, 3)


def test_npz_with_images_of_several_shapes_and_types(tmp_path: Path) -> None:
    given = arrays()
    np.savez(tmp_path / "mine.npz", **given)
    data = load_data(str(tmp_path / "mine.npz"))
    np.testing.assert_array_equal(data.train.x, given["x_train"].reshape(6, 9))
    np.testing.assert_array_equal(data.test.x, given["x_test"])
    np.testing.assert_array_equal(data.test.y, [2, 1])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"y_test": None},
            r"lacks y_test \(it has x_train, y_train, x_test\); write it with numpy.savez, as arrays x_train",
        ),
        ({"x_train": np.full((6, 9), np.nan)}, "x_train in .* contains NaN"),
        (
            {"x_train": np.full((6, 9), 256.0)},
            "x_train in .* has values from 256 to 256; pixels are numbers from 0 to 255",
        ),
        ({"x_train": np.full((6, 9), -1)}, "from -1 to -1"),
        ({"x_train": np.full((6, 9), np.inf)}, "from inf to inf"),
        ({"x_train": np.full((6, 9), 0.5)}, "scaled to 0..1; multiply it by 255"),
        ({"x_train": np.zeros(54)}, r"has shape \(54,\); expected \(count, pixels\)"),
        ({"x_train": np.zeros((0, 9))}, "has shape"),
        ({"x_test": np.zeros((2, 8))}, "training frames have 9 pixels, test frames 8"),
        ({"x_train": np.array([["a"] * 9] * 6)}, "give numbers"),
        ({"y_train": np.zeros(5)}, r"y_train in .* has shape \(5,\); .* one label for each of 6"),
        ({"y_train": np.array([0, 1, 2, 0, 1, -1])}, "whole numbers from 0 to classes - 1"),
        ({"y_train": np.array([0, 1, 2, 0, 1, 64])}, "whole numbers from 0 to classes - 1"),
        ({"y_train": np.array([0, 1, 2, 0, 1, 0.5])}, "whole numbers"),
        ({"y_train": np.array([0, 1, 2, 0, 1, np.nan])}, "whole numbers"),
    ],
)
def test_wrong_arrays(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    np.savez(tmp_path / "mine.npz", **arrays(**changes))
    with pytest.raises(OpzoError, match=message):
        load_data(str(tmp_path / "mine.npz"))


def test_labels_beyond_the_classes_of_the_network(tmp_path: Path) -> None:
    np.savez(tmp_path / "mine.npz", **arrays())
    data = load_data(str(tmp_path / "mine.npz"))
    data.check(Network((9, 4, 3)))
    with pytest.raises(OpzoError, match=r"has label 2; network 9-4-2 has classes 0..1"):
        data.check(Network((9, 4, 2)))
    with pytest.raises(OpzoError, match="9 pixels per frame; network 8-4-3 has 8 inputs"):
        data.check(Network((8, 4, 3)))


class Trap:
    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (Path("trapped"),))


def test_pickled_objects_are_never_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    np.savez("mine.npz", **arrays(x_train=np.array([Trap()] * 6, object)), allow_pickle=True)
    Path("raw.npz").write_bytes(pickle.dumps(Trap()))
    for name in ("mine.npz", "raw.npz"):
        with pytest.raises(OpzoError, match="cannot read"):
            load_data(name)
    assert not Path("trapped").exists()


@pytest.mark.parametrize("content", [b"", b"PK\3\4 not a zip", b"text"])
def test_file_that_is_no_npz(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "mine.npz"
    path.write_bytes(content)
    with pytest.raises(OpzoError, match="cannot read"):
        load_data(str(path))


def test_npy_renamed_to_npz(tmp_path: Path) -> None:
    with (tmp_path / "mine.npz").open("wb") as file:
        np.save(file, np.zeros(3))
    with pytest.raises(OpzoError, match=r"it is a single \.npy array"):
        load_data(str(tmp_path / "mine.npz"))


def test_absent_file_and_unknown_name() -> None:
    with pytest.raises(OpzoError, match=r"there is no file nowhere.npz"):
        load_data("nowhere.npz")
    with pytest.raises(OpzoError, match=r"no data set 'cifar' \(did you mean 'cifar10'\?\); choose digits, mnist"):
        load_data("cifar")


def test_frame_becomes_events_of_its_nonzero_pixels_in_ascending_order() -> None:
    frame = np.zeros(1000, np.uint8)
    frame[[0, 1, 300, 999]] = (1, 255, 7, 128)
    addresses, values, _ = decode_frame_pairs(encode_frame(frame))
    assert addresses.tolist() == [0, 1, 300, 999]
    assert values.tolist() == [1, 255, 7, 128]
    assert encode_frame(np.zeros(9, np.uint8)) == b""


def test_samples_follow_the_order_given() -> None:
    frames = Frames.of(np.arange(1, 5).reshape(4, 1), [0, 1, 2, 3])
    assert [sample.label for sample in frames.samples(np.array([2, 0]))] == [2, 0]
    assert [sample.runs[0][1] for sample in frames.samples()] == [1, 2, 3, 4]
