"""Outputs are checked before the work whose result they are to hold."""

from pathlib import Path

import pytest

from opzo.host.atomic import check_output, write_atomically
from opzo.spec.errors import OpzoError


def test_what_can_be_written_passes_and_nothing_is_made(tmp_path: Path) -> None:
    check_output(tmp_path / "new.npz")
    check_output(tmp_path / "a" / "b", folder=True)
    assert list(tmp_path.iterdir()) == []


def test_a_name_that_is_too_long_is_refused_and_a_shorter_one_can_be_written(tmp_path: Path) -> None:
    with pytest.raises(OpzoError, match="its name is too long"):
        check_output(tmp_path / ("n" * 255))
    path = tmp_path / ("n" * 235)
    check_output(path)
    write_atomically(path, b"x")
    assert path.read_bytes() == b"x"


@pytest.mark.parametrize(
    ("name", "folder", "message"),
    [
        ("missing/x.npz", False, "there is no folder"),
        ("folder", False, "it is a folder"),
        ("file", True, "is a file"),
        ("file/below", True, "is a file"),
        ("file/below", False, "there is no folder"),
    ],
)
def test_what_cannot_be_written_is_refused(name: str, folder: bool, message: str, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    with pytest.raises(OpzoError, match=message):
        check_output(tmp_path / name, folder=folder)
