"""Readers of .npz files: sizes that are declared, entries that others have added, damage."""

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest

from opzo.host.data.npz import load_arrays
from opzo.spec.errors import OpzoError
from opzo.system import bounds


def npy(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.lib.format.write_array(file, array)
    return file.getvalue()


def head(shape: tuple[int, ...], descr: str = "|u1") -> bytes:
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": descr, "fortran_order": False, "shape": shape})
    return file.getvalue()


def archive(path: Path, *entries: tuple[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in entries:
            file.writestr(name, content)
    return path


X = np.arange(12, dtype=np.uint16).reshape(3, 4)


def test_arrays_are_read_and_what_others_added_is_passed_over(tmp_path: Path) -> None:
    path = archive(
        tmp_path / "a.npz",
        ("x.npy", npy(X)),
        ("f.npy", npy(np.asfortranarray(X))),
        ("none.npy", npy(np.zeros((0, 3)))),
        ("scalar.npy", npy(np.array("text"))),
        ("__MACOSX/._x.npy", b"\0\5\x16\7"),
        ("._x.npy", b"\0\5\x16\7"),
        (".DS_Store", b"\0"),
        ("notes.txt", b"notes"),
    )
    arrays = load_arrays(path, "write it again")
    assert list(arrays) == ["x", "f", "none", "scalar"]
    np.testing.assert_array_equal(arrays["x"], X)
    np.testing.assert_array_equal(arrays["f"], X)
    assert str(arrays["scalar"]) == "text"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (head((1 << 40,)) + b"1234", r"x.npy declares uint8 of shape \(1099511627776,\), but 4 bytes are packed"),
        (head((3, 2)) + b"12345", "but 5 bytes are packed"),
        (head((2, 2)) + b"12345", "but 5 bytes are packed"),
        (head((-1, -4)) + b"1234", "but 4 bytes are packed"),
        (head((1,), "|O") + b"12345678", "x.npy contains Python objects"),
        (b"\x93NUMPY\x03\x00" + npy(X)[8:], "version 3.0"),
        (b"\x1b[31mred", "cannot read"),
        (head((1,), "<U2") + b"a\0\0\0\0\0\x11\0", "strings with invalid characters"),
        (b"", "cannot read"),
    ],
)
def test_arrays_that_are_not_as_they_declare(content: bytes, message: str, tmp_path: Path) -> None:
    path = archive(tmp_path / "a.npz", ("x.npy", content))
    with pytest.raises(OpzoError, match=f"{message}.*write it again") as caught:
        load_arrays(path, "write it again")
    assert str(caught.value).isprintable()


def test_all_that_is_unpacked_is_held_against_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "free_memory", lambda: 4_000_000)
    part = npy(np.zeros(1_500_000, np.uint8))
    assert len(load_arrays(archive(tmp_path / "a.npz", ("x.npy", part)), "")["x"]) == 1_500_000
    monkeypatch.setattr(np.lib.format, "read_array", pytest.fail)
    bomb = archive(tmp_path / "b.npz", ("x.npy", part), ("y.npy", part))
    assert bomb.stat().st_size < 10_000
    with pytest.raises(OpzoError, match=r"b.npz needs 0.0 GB of memory"):
        load_arrays(bomb, "")


def test_an_array_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="Duplicate"):
        path = archive(tmp_path / "a.npz", ("x.npy", npy(X)), ("x.npy", npy(X + 1)))
    with pytest.raises(OpzoError, match="it has two arrays named x"):
        load_arrays(path, "")


def test_what_is_no_file(tmp_path: Path) -> None:
    for path, message in (
        (tmp_path, "it is not a file"),
        (Path("/dev/zero"), "not a file"),
        (tmp_path / "x", "no file"),
    ):
        with pytest.raises(OpzoError, match=message):
            load_arrays(path, "")
