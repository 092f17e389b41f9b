"""bench/storm.py kills, power and day in small, with jobs of a few lines; and with what they must find."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest
import storm
from storms import day, kills, power
from storms.commands import Job
from storms.disk import Disk

from opzo.host.driver.pty import PtyDevice
from opzo.system import atomic
from opzo.system.folder_lock import make_folder

OLD, NEW = {"number": 1, "text": "x" * 500}, {"number": 2, "text": "y" * 500}


class Writer(Job):
    """Replaces a file in a folder of its own."""

    name = "writer"
    write: ClassVar[Callable[[Path, bytes], None]]

    def prepare(self) -> None:
        pass

    @property
    def output(self) -> Path:
        return self.folder / "results"

    def command(self) -> list[str]:
        return []

    def write_old(self) -> int:
        return self._save(OLD)

    def run(self) -> int:
        return self._save(NEW)

    def _save(self, value: dict[str, Any]) -> int:
        make_folder(self.output)
        type(self).write(self.output / "value.json", json.dumps(value).encode())
        return 0


class Atomic(Writer):
    write = staticmethod(atomic.write_atomically)


class InPlace(Writer):
    @staticmethod
    def write(path: Path, data: bytes) -> None:
        with path.open("wb") as file:
            for byte in data:
                file.write(bytes([byte]))
                file.flush()
                time.sleep(1e-4)


def test_power_cuts_leave_an_atomic_file_whole(tmp_path: Path) -> None:
    row = power.cut(Atomic, tmp_path, 4, Random(1))
    assert row["ok"], row["outcome"]
    assert row["resumed"] == 4
    assert row["operations"] > row["resumed"]


def test_power_cuts_find_a_file_that_is_written_in_place(tmp_path: Path) -> None:
    assert "damaged: JSONDecodeError" in power.cut(InPlace, tmp_path, 0, Random(1))["outcome"]


def test_power_cuts_find_a_missing_sync_of_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    without_sync = SimpleNamespace(**vars(os) | {"fsync": lambda descriptor: None})
    monkeypatch.setattr(atomic, "os", without_sync)
    assert "damaged: JSONDecodeError" in power.cut(Atomic, tmp_path, 0, Random(1))["outcome"]


def test_power_cuts_find_a_missing_sync_of_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(atomic, "sync_folder", lambda path: None)
    assert "after the command has ended" in power.cut(Atomic, tmp_path, 0, Random(1))["outcome"]


def test_a_saved_file_is_lost_with_a_folder_that_was_not_synced(tmp_path: Path) -> None:
    disk = Disk(tmp_path)
    disk.apply(("mkdir", "run", ""))
    disk.apply(("create", "run/.a.tmp", ""))
    disk.apply(("content", "run/.a.tmp", b"all"))
    disk.apply(("sync", "run/.a.tmp", ""))
    disk.apply(("rename", "run/.a.tmp", "run/a"))
    assert disk.promised == set()
    disk.apply(("sync", "run", ""))
    assert disk.promised == {"run/a"}
    assert disk.state("lost", Random(0)) == {}
    assert disk.state("torn", Random(0)) == {"run": None, "run/a": b"all"}
    disk.apply(("sync", "", ""))
    assert disk.state("lost", Random(0)) == {"run": None, "run/a": b"all"}
    disk.apply(("create", "run/b", ""))
    disk.apply(("content", "run/b", b"more"))
    assert disk.state("empty", Random(0))["run/b"] == b""
    assert {disk.state("torn", Random(seed))["run/b"] for seed in range(40)} >= {b"", b"mo", b"more"}


@pytest.mark.parametrize("depth", [1, 3])
def test_what_is_saved_in_new_folders_survives_a_power_cut(depth: int, tmp_path: Path) -> None:
    class Deep(Atomic):
        @property
        def output(self) -> Path:
            return self.folder.joinpath(*"abc"[:depth])

    row = power.cut(Deep, tmp_path, 0, Random(1))
    assert row["ok"], row["outcome"]


def test_kills_find_a_file_that_is_written_in_place(tmp_path: Path) -> None:
    row = kills.kill(InPlace, tmp_path, 20, Random(1))
    assert "damaged: JSONDecodeError" in row["outcome"]
    assert not row["ok"]


def test_kills_leave_an_atomic_file_whole(tmp_path: Path) -> None:
    row = kills.kill(Atomic, tmp_path, 5, Random(1))
    assert row["ok"], row["outcome"]
    assert row["kills"] == 5


def test_a_log_of_files_is_complete(tmp_path: Path) -> None:
    script = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "from storms.file_log import FileLog\n"
        "root = Path(sys.argv[1])\n"
        "log = FileLog(root)\n"
        "log.begin()\n"
        "(root / 'd').mkdir()\n"
        "with (root / 'd' / 'a').open('wb') as file:\n"
        "    file.write(b'one')\n"
        "    file.flush()\n"
        "    os.fsync(file.fileno())\n"
        "    file.write(b'two')\n"
        "(root / 'd').rename(root / 'e')\n"
        "(root / 'e' / 'a').unlink()\n"
        "(root / 'e').rmdir()\n"
        "print(log.end())\n"
    )
    path = os.pathsep.join(sys.path)
    command = [sys.executable, "-c", script, str(tmp_path)]
    done = subprocess.run(command, env=os.environ | {"PYTHONPATH": path}, capture_output=True)
    assert done.stdout.decode().strip() == repr(
        [
            ("mkdir", "d", ""),
            ("create", "d/a", ""),
            ("content", "d/a", b"one"),
            ("sync", "d/a", ""),
            ("content", "d/a", b"onetwo"),
            ("rename", "d", "e"),
            ("remove", "e/a", ""),
            ("rmdir", "e", ""),
        ]
    ), done.stderr


def test_devices_that_are_closed_leave_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(day, "SHARES", {"fast": 0.5, "serial": 0.5})
    first, last, done, wrong = day.devices(tmp_path, 20, 1)
    assert (done, wrong, first.growth(last)) == (22, "", "")


def test_a_terminal_that_stays_open_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(day, "SHARES", {"serial": 1.0})
    kept = []

    def leak(device: PtyDevice) -> None:
        kept.append(device._master)

    with monkeypatch.context() as patched:
        patched.setattr(PtyDevice, "close", leak)
        first, last, _, _ = day.devices(tmp_path, 5, 1)
    assert "files, were" in first.growth(last)
    for descriptor in kept:
        os.close(descriptor)


def test_growth_is_named_and_a_file_that_is_open_for_a_moment_is_none() -> None:
    moments = [day.Usage(50.0, 5, 1), day.Usage(60.0, 4, 2), day.Usage(51.0, 6, 1)]
    assert day.Usage.least(moments) == day.Usage(50.0, 4, 1)
    usage = day.Usage(50.0, 4, 1)
    assert usage.growth(day.Usage(53.9, 4, 1)) == ""
    assert usage.growth(day.Usage(55.0, 5, 2)) == "5.0 MiB more, 5 files, were 4, 2 threads, were 1"


@pytest.mark.slow
@pytest.mark.parametrize(("part", "count"), [("kills", 40), ("power", 40), ("day", 40_000)])
def test_the_storms_in_small(part: str, count: int) -> None:
    script = [sys.executable, storm.__file__, part, "--count", str(count), "--seed", "7", "--json"]
    done = subprocess.run(script, stdout=subprocess.PIPE, check=False)
    figures = json.loads(done.stdout)
    assert done.returncode == 0, [row for row in figures["rows"] if not row["ok"]]
