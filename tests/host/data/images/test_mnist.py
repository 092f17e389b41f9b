"""MNIST and its relatives, as their mirrors name the files."""

import gzip
import os
import struct
from pathlib import Path

import numpy as np
import pytest

from opzo.host.data.data_sets import load_data
from opzo.host.data.images.idx import read_idx
from opzo.host.data.images.mnist import MNIST_FILES
from opzo.host.training.configure import configure
from opzo.spec.errors import OpzoError
from opzo.system import bounds


def idx(array: np.ndarray) -> bytes:
    return bytes((0, 0, 8, array.ndim)) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def arrays(classes: int = 10) -> list[np.ndarray]:
    rng = np.random.default_rng(classes)
    x = rng.integers(0, 256, (classes, 28, 28), np.uint8)
    y = np.arange(classes, dtype=np.uint8)
    return [x, y, x[:5], y[:5]]


def write(folder: Path, names: list[str], *, classes: int = 10, packed: bool = False) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, array in zip(names, arrays(classes), strict=True):
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(gzip.compress(idx(array)) if packed else idx(array))


PLAIN = list(MNIST_FILES)
DOTTED = [name.replace("-idx", ".idx") for name in PLAIN]


def emnist(split: str, suffix: str = "") -> list[str]:
    return [f"emnist-{split}-{name.replace('t10k', 'test')}{suffix}" for name in PLAIN]


@pytest.mark.parametrize(
    ("folder", "names", "root"),
    [
        ("", DOTTED, ""),
        ("", [f"{name}/{name}" for name in PLAIN], ""),
        ("", [f"{name}/{name}" for name in DOTTED], ""),
        ("", [f"{name}/{other}" for name, other in zip(PLAIN, DOTTED, strict=True)], ""),
        ("MNIST/raw", PLAIN, ""),
        ("MNIST/raw", PLAIN, "MNIST"),
        ("FashionMNIST/raw", PLAIN, ""),
        ("EMNIST/raw", emnist("letters"), ""),
        ("", emnist("byclass"), ""),
        ("", ["emnist-mnist-" + name for name in PLAIN], ""),
    ],
)
def test_files_are_found(folder: str, names: list[str], root: str, tmp_path: Path) -> None:
    write(tmp_path / folder, names)
    data = load_data("mnist", tmp_path / root)
    np.testing.assert_array_equal(data.train.x, arrays()[0].reshape(10, -1))
    assert data.train.shape == (1, 28, 28)
    assert data.test.y.tolist() == [0, 1, 2, 3, 4]


def test_what_lies_beside_the_files_does_not_matter(tmp_path: Path) -> None:
    write(tmp_path, [f"{name}.gz" for name in PLAIN], packed=True)
    for name in ("._train-images-idx3-ubyte.gz", ".DS_Store", "Thumbs.db"):
        (tmp_path / name).write_bytes(b"\0\1")
    (tmp_path / PLAIN[0]).mkdir()
    assert len(load_data("mnist", tmp_path).train) == 10


def test_one_of_several_data_sets_is_chosen(tmp_path: Path) -> None:
    write(tmp_path, emnist("letters", ".gz"), classes=26, packed=True)
    write(tmp_path, emnist("digits", ".gz"), packed=True)
    with pytest.raises(OpzoError, match=r"several data sets; give --data-root .*/emnist-digits or .*/emnist-letters"):
        load_data("mnist", tmp_path)
    assert len(load_data("mnist", tmp_path / "emnist-letters").train) == 26
    write(tmp_path / "FashionMNIST/raw", PLAIN, classes=7)
    write(tmp_path / "MNIST/raw", PLAIN, classes=8)
    for name in emnist("letters", ".gz") + emnist("digits", ".gz"):
        (tmp_path / name).unlink()
    assert len(load_data("mnist", tmp_path).train) == 8


@pytest.mark.parametrize("folder", ["", "FashionMNIST/raw", "fashion-mnist", "data/fashion"])
def test_fashion_mnist_has_its_class_names(folder: str, tmp_path: Path) -> None:
    write(tmp_path / folder, [f"{name}.gz" for name in PLAIN], packed=True)
    if folder:
        write(tmp_path / "MNIST/raw", PLAIN, classes=7)
    data = load_data("fashion-mnist", tmp_path)
    assert (data.name, len(data.train), data.train.shape) == ("fashion-mnist", 10, (1, 28, 28))
    assert (data.names[0], data.test.names[9]) == ("T-shirt/top", "ankle boot")


def test_other_files_are_not_fashion_mnist(tmp_path: Path) -> None:
    with pytest.raises(OpzoError, match=r"fashion-mnist needs the folder .*zalandoresearch/fashion-mnist"):
        load_data("fashion-mnist")
    write(tmp_path, PLAIN, classes=26)
    with pytest.raises(OpzoError, match=r"label 25 is not a class of Fashion-MNIST, which has 10; .*--data mnist"):
        load_data("fashion-mnist", tmp_path)


def test_missing_files_are_told_with_where_to_get_them(tmp_path: Path) -> None:
    with pytest.raises(OpzoError, match=r"four IDX files; give --data-root DIR .*; get train-images"):
        load_data("mnist")
    with pytest.raises(OpzoError, match=r"there is no train-images-idx3-ubyte\[.gz\] in .*; get train-images"):
        load_data("mnist", tmp_path)
    write(tmp_path, PLAIN)
    (tmp_path / PLAIN[2]).unlink()
    with pytest.raises(OpzoError, match=r"there is no t10k-images-idx3-ubyte\[.gz\] in .*; get train-images"):
        load_data("mnist", tmp_path)
    (tmp_path / PLAIN[2]).write_bytes(idx(np.ones((5, 14, 14), np.uint8)))
    with pytest.raises(OpzoError, match=r"training images are \(28, 28\) pixels, test images \(14, 14\)"):
        load_data("mnist", tmp_path)


@pytest.mark.parametrize(("classes", "local"), [(26, -1), (47, 0), (62, 0)])
def test_recipe_fits_more_classes(classes: int, local: int, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write(tmp_path, PLAIN, classes=classes)
    with caplog.at_level("INFO", logger="opzo"):
        data, config = configure({"data": "mnist", "data_root": str(tmp_path)})
    assert (config.net, config.local) == (f"784-256-256-{classes}", local)
    data.train.check(config.network, "training")
    assert ("--local 0" in caplog.text) == (local == 0)


def test_no_more_is_unpacked_than_the_head_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    head = bytes((0, 0, 8, 3)) + struct.pack(">3I", 2, 3, 3)
    path.write_bytes(gzip.compress(head + bytes(10_000_000)))
    read: list[int] = []
    inner = gzip.GzipFile.read
    monkeypatch.setattr(gzip.GzipFile, "read", lambda self, size: read.append(size) or inner(self, size))
    with pytest.raises(OpzoError, match=r"has more than 18 bytes of data for shape \(2, 3, 3\), expected 18"):
        read_idx(path, 3)
    assert read == [16, 19]


def test_no_data_of_a_shape_that_no_array_has_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes((0, 0, 8, 3)) + struct.pack(">3I", 0xFFFFFFFF, 0xFFFFFFFF, 0))
    with pytest.raises(OpzoError, match=r"file declares shape \(4294967295, 4294967295, 0\); download it again"):
        read_idx(path, 3)


@pytest.mark.parametrize("packed", [False, True])
def test_declared_sizes_are_held_against_memory(packed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "free_memory", lambda: 1 << 30)
    path = tmp_path / "file"
    content = bytes((0, 0, 8, 3)) + b"\xff" * 12
    path.write_bytes(gzip.compress(content) if packed else content)
    with pytest.raises(OpzoError, match=r"file, which declares shape \(4294967295, 4294967295, 4294967295\), needs"):
        read_idx(path, 3)


def test_a_folder_or_a_pipe_is_no_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path, tmp_path / "pipe"):
        with pytest.raises(OpzoError, match="it is not a file"):
            read_idx(path, 3)
