"""CIFAR, for the chip and for the reference: pickles and binaries, read without executing anything."""

import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from random_draws import RNG, draws

from opzo.host.data.data_sets import load_data
from opzo.host.data.images.cifar import CIFAR10_NAMES
from opzo.host.data.images.contrast import Contrast
from opzo.reference.data.data_sets import load
from opzo.spec.errors import OpzoError


def cifar_pickles(root: Path, name: str) -> dict[str, tuple[NDArray[np.uint8], list[int]]]:
    folder, files, key, classes = {
        "cifar10": ("cifar-10-batches-py", [*(f"data_batch_{n}" for n in range(1, 6)), "test_batch"], b"labels", 10),
        "cifar100": ("cifar-100-python", ["train", "test"], b"fine_labels", 100),
    }[name]
    (root / folder).mkdir()
    written = {}
    for file in files:
        pixels, labels = RNG.integers(0, 256, (6, 3072), np.uint8), RNG.integers(0, classes, 6).tolist()
        labels[0] = classes - 1
        (root / folder / file).write_bytes(
            pickle.dumps({b"data": pixels, key: labels, b"filenames": ["x"]}, protocol=2)
        )
        written[file] = (pixels, labels)
    return written


def cifar_binaries(root: Path, name: str) -> dict[str, tuple[NDArray[np.uint8], list[int]]]:
    folder, files, coarse = {
        "cifar10": ("cifar-10-batches-bin", [*(f"data_batch_{n}.bin" for n in range(1, 6)), "test_batch.bin"], b""),
        "cifar100": ("cifar-100-binary", ["train.bin", "test.bin"], b"\x07"),
    }[name]
    (root / folder).mkdir()
    written = {}
    for file in files:
        pixels, labels = RNG.integers(0, 256, (6, 3072), np.uint8), RNG.integers(0, 9, 6).tolist()
        rows = [coarse + bytes([label]) + row.tobytes() for label, row in zip(labels, pixels, strict=True)]
        (root / folder / file).write_bytes(b"".join(rows))
        written[file] = (pixels, labels)
    return written


@pytest.mark.parametrize("write", [cifar_pickles, cifar_binaries])
@pytest.mark.parametrize("name", ["cifar10", "cifar100"])
def test_cifar_is_read_and_normalised(name: str, write: Any, tmp_path: Path) -> None:
    files = write(tmp_path, name)
    data = load(name, str(tmp_path))
    *train, (test, test_labels) = files.values()
    pixels = np.concatenate([part for part, _ in train]).reshape(-1, 3, 32, 32)
    labels = [label for _, part in train for label in part]
    assert (len(data.train), len(data.test), data.shape, data.steps) == (len(labels), 6, (3, 32, 32), None)
    x, y = data.train.batch(np.arange(len(labels)), None)
    assert x.shape == (len(labels), 1, 3, 32, 32)
    assert y.tolist() == labels
    mean, std = pixels.mean((0, 2, 3)), pixels.std((0, 2, 3))
    expected = (pixels - mean[:, None, None]) / std[:, None, None]
    np.testing.assert_allclose(x[:, 0], expected, atol=1e-5)
    x, y = data.test.batch(np.array([4, 0]), None)
    assert y.tolist() == [test_labels[4], test_labels[0]]
    expected = (test.reshape(-1, 3, 32, 32)[[4, 0]] - mean[:, None, None]) / std[:, None, None]
    np.testing.assert_allclose(x[:, 0], expected, atol=1e-5)
    first, second, other = (data.train.batch(np.arange(6), draws(seed))[0] for seed in (1, 1, 2))
    assert torch.equal(first, second)
    assert not torch.equal(first, other)


@pytest.mark.parametrize("write", [cifar_pickles, cifar_binaries])
def test_chip_gets_two_channels_a_colour_by_the_contrast_of_the_training_images(write: Any, tmp_path: Path) -> None:
    files = write(tmp_path, "cifar10")
    *train, (test, test_labels) = files.values()
    pixels = np.concatenate([images for images, _ in train]).reshape(-1, 3, 32, 32)
    train_labels = [label for _, labels in train for label in labels]
    data = load_data("cifar10", tmp_path)
    contrast = Contrast.of(pixels, "training")
    for part, planes, labels in (
        (data.train, pixels, train_labels),
        (data.test, test.reshape(-1, 3, 32, 32), test_labels),
    ):
        assert (part.shape, part.inputs, part.contrast) == ((6, 32, 32), 6144, contrast)
        assert (part.y.tolist(), part.names) == (labels, CIFAR10_NAMES)
        np.testing.assert_array_equal(part.planes(part.x), contrast.code(planes))
    raw = load_data("cifar10", tmp_path, contrast=False)
    assert raw.train.shape == (3, 32, 32)
    np.testing.assert_array_equal(raw.train.x, pixels.reshape(-1, 3072))
    assert raw.train.digest != data.train.digest


class Evil:
    def __reduce__(self) -> Any:
        return os.system, ("true",)


def test_a_pickle_runs_no_code(tmp_path: Path) -> None:
    cifar_pickles(tmp_path, "cifar100")
    (tmp_path / "cifar-100-python" / "train").write_bytes(pickle.dumps(Evil()))
    with pytest.raises(OpzoError, match=r"train is no file of cifar100 \(it asks for posix.system\); get it again"):
        load("cifar100", str(tmp_path))


class Pointers:
    def __reduce__(self) -> Any:
        return np.ndarray, ((1,), np.dtype("O"), b"A" * 8)


def nested(depth: int = 60) -> bytes:
    """A dictionary whose key is a tuple of twice a tuple of twice a tuple..., with a hash that takes for ever."""
    twice = pickle.BINPUT + b"\0" + pickle.BINGET + b"\0" + pickle.TUPLE2
    return pickle.EMPTY_DICT + pickle.NONE + twice * depth + pickle.NONE + pickle.SETITEM + pickle.STOP


@pytest.mark.parametrize(
    "content",
    [
        pickle.dumps({b"data": np.zeros((1, 3072), np.uint8), b"fine_labels": [Pointers()]}, 2),
        pickle.dumps({b"data": np.array([Pointers()]), b"fine_labels": [1]}, 2),
        pickle.dumps({b"data": np.array([None] * 3072), b"fine_labels": [1]}, 2),
        b"N" + pickle.LONG_BINPUT + b"\xff\xff\xff\xff" + pickle.STOP,
        pickle.BYTEARRAY8 + (1 << 40).to_bytes(8, "little") + pickle.STOP,
        b"c_codecs\nencode\n" + pickle.EMPTY_DICT + pickle.BUILD + pickle.STOP,
        nested(),
    ],
)
def test_a_pickle_makes_no_objects(content: bytes, tmp_path: Path) -> None:
    cifar_pickles(tmp_path, "cifar100")
    (tmp_path / "cifar-100-python" / "train").write_bytes(content)
    with pytest.raises(OpzoError, match=r"train is no file of cifar100 \(.*\); get it again"):
        load("cifar100", str(tmp_path))


@pytest.mark.parametrize("protocol", [2, 4])
def test_cifar_of_any_pickle_protocol_and_numpy(protocol: int, tmp_path: Path) -> None:
    (pixels, labels), _ = cifar_pickles(tmp_path, "cifar100").values()
    for name in ("numpy.core.multiarray", "numpy._core.multiarray"):
        content = pickle.dumps({b"data": pixels, b"fine_labels": labels, b"filenames": [b"\xe9", "x"]}, protocol)
        if protocol == 2:
            content = content.replace(b"numpy._core.multiarray", name.encode())
        (tmp_path / "cifar-100-python" / "train").write_bytes(content)
        _, y = load("cifar100", str(tmp_path)).train.batch(np.arange(6), None)
        assert y.tolist() == labels


def test_the_folder_of_cifar_itself_is_taken(tmp_path: Path) -> None:
    cifar_binaries(tmp_path, "cifar10")
    assert len(load("cifar10", str(tmp_path / "cifar-10-batches-bin")).train) == 30


@pytest.mark.parametrize(
    ("pixels", "labels", "message"),
    [
        (np.full((2, 3072), 300), [1, 2], "arrays are not of unsigned bytes"),
        (np.zeros((2, 3071), np.uint8), [1, 2], r"images uint8 \(2, 3071\)"),
        (np.zeros((2, 3072), np.uint8), [1, 2, 3], "for 3 labels"),
        (np.zeros((1, 3072), np.uint8), [], "for 0 labels"),
        (np.zeros((2, 3072), np.uint8), [1, 10], r"labels that are not 0\.\.9"),
        (np.zeros((2, 3072), np.uint8), [-1, 1], r"labels that are not 0\.\.9"),
        (np.zeros((2, 3072), np.uint8), [[1], [2]], r"labels that are not 0\.\.9"),
        (np.zeros((2, 3072), np.uint8), [1.5, 2.0], r"labels that are not 0\.\.9"),
        (np.zeros((2, 3072), np.uint8), "cat", r"labels that are not 0\.\.9"),
    ],
)
def test_wrong_images_and_labels_are_told(pixels: Any, labels: Any, message: str, tmp_path: Path) -> None:
    cifar_pickles(tmp_path, "cifar10")
    batch = tmp_path / "cifar-10-batches-py" / "data_batch_2"
    batch.write_bytes(pickle.dumps({b"data": pixels, b"labels": labels}, protocol=2))
    with pytest.raises(OpzoError, match=f"data_batch_2 .*{message}.*; get it again"):
        load("cifar10", str(tmp_path))


def test_a_pickle_damaged_anywhere_is_told_or_read(tmp_path: Path) -> None:
    cifar_pickles(tmp_path, "cifar100")
    file = tmp_path / "cifar-100-python" / "test"
    whole = file.read_bytes()
    messages = []
    for position in [*range(400), *range(len(whole) - 60, len(whole))]:
        for value in (0, whole[position] ^ 1, 0x2E, 0xFF):
            file.write_bytes(whole[:position] + bytes([value]) + whole[position + 1 :])
            try:
                load("cifar100", str(tmp_path))
            except OpzoError as error:
                messages.append(str(error))
    assert len(messages) > 300
    assert not [message for message in messages if str(file) not in message or " ();" in message]


def test_missing_and_damaged_files_say_what_to_do(tmp_path: Path) -> None:
    for name in ("cifar10", "cifar100"):
        with pytest.raises(OpzoError, match="give --data-root DIR"):
            load(name)
        with pytest.raises(OpzoError, match="from Alex Krizhevsky's page, and unpack it there"):
            load(name, str(tmp_path))
    cifar_pickles(tmp_path, "cifar10")
    batch = tmp_path / "cifar-10-batches-py" / "data_batch_3"
    whole = batch.read_bytes()
    for content in (whole[:-20], b"", pickle.dumps({b"data": 1}), pickle.dumps({b"data": [[1, 2]], b"labels": [1]})):
        batch.write_bytes(content)
        with pytest.raises(OpzoError, match=r"data_batch_3 .*; get it again"):
            load("cifar10", str(tmp_path))
    batch.unlink()
    with pytest.raises(OpzoError, match=r"cannot read .*data_batch_3"):
        load("cifar10", str(tmp_path))
    cifar_binaries(tmp_path, "cifar100")
    (tmp_path / "cifar-100-binary" / "test.bin").write_bytes(bytes(3075))
    with pytest.raises(OpzoError, match="3075 bytes, no whole number of images"):
        load("cifar100", str(tmp_path))
    with pytest.raises(OpzoError, match="put ImageNet-1K there, train/n01440764"):
        load("imagenet", str(tmp_path))
    with pytest.raises(
        OpzoError, match=r"there is no data set 'nope'; choose digits, mnist, .*cifar10, .*patches, cifar100, image"
    ):
        load("nope")
    with pytest.raises(OpzoError, match="nmnist needs the folder"):
        load("nmnist")
    for count in (0, 2000):
        with pytest.raises(OpzoError, match=f"{count} samples requested of 1438"):
            load("digits", train=count)
