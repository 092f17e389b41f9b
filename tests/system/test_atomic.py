"""Outputs are checked before the work whose result they are to hold."""

import errno
import os
import stat
import subprocess
from pathlib import Path

import pytest

from opzo.spec.errors import OpzoError
from opzo.system.atomic import check_output, write_atomically


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
        ("dangling", True, "is a file"),
        (f"a/{'n' * 300}/b", True, "its name is too long"),
        (f"a/b/{'n' * 300}", True, "its name is too long"),
        ("file/below", False, "there is no folder"),
    ],
)
def test_what_cannot_be_written_is_refused(name: str, folder: bool, message: str, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    (tmp_path / "dangling").symlink_to("nowhere")
    with pytest.raises(OpzoError, match=message):
        check_output(tmp_path / name, folder=folder)


@pytest.mark.parametrize("place", ["/dev/null", "/proc/x.npz", "pipe"])
def test_devices_pipes_and_places_without_files_are_refused_and_stay(place: str, tmp_path: Path) -> None:
    path = tmp_path / place
    if place == "pipe":
        os.mkfifo(path)
    before = path.lstat() if path.exists() else None
    with pytest.raises(OpzoError, match="cannot write"):
        check_output(path)
    with pytest.raises(OpzoError, match="cannot write"):
        write_atomically(path, b"x")
    assert before is None or path.lstat().st_mode == before.st_mode


def test_only_what_was_saved_before_is_called_complete(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    path = tmp_path / "x"
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OpzoError, match=r"\(?No space left on device; give another place$"):
            write_atomically(path, b"first")
    write_atomically(path, b"first")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OpzoError, match=r"what was saved before is complete$"):
        write_atomically(path, b"second")
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("x", b"first")]


def test_what_a_killed_process_left_is_removed(tmp_path: Path) -> None:
    with subprocess.Popen(["true"]) as gone:
        pass
    names = [f".x.{gone.pid}.tmp", f".x.{os.getppid()}.tmp", f".y.{gone.pid}.tmp", ".x.1a.tmp", ".x.tmp"]
    for name in names:
        (tmp_path / name).touch()
    write_atomically(tmp_path / "x", b"1")
    assert {path.name for path in tmp_path.iterdir()} == {"x", *names[1:]}


def test_folder_that_cannot_be_synced_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.fsync

    def fsync(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    write_atomically(tmp_path / "x", b"1")
    assert (tmp_path / "x").read_bytes() == b"1"


@pytest.mark.parametrize("name", [".", "..", "folder/..", "n/" * 5])
def test_folders_without_a_name_of_their_own_pass(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "folder").mkdir()
    monkeypatch.chdir(tmp_path)
    check_output(Path(name), folder=True)
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_name_that_is_too_long_is_refused_when_it_is_written(tmp_path: Path) -> None:
    with pytest.raises(OpzoError, match="File name too long"):
        write_atomically(tmp_path / ("n" * 300), b"x")
