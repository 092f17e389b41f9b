"""Kept builds: who may change them, what damages them, what a kill leaves of them."""

import errno
import fcntl
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from opzo.spec.errors import OpzoError
from opzo.system import cache, durable, trust
from opzo.system.cache import MANIFEST, cached, content_hash

STRANGER = 54321


def build(work: Path) -> None:
    (work / "part").mkdir()
    (work / "part" / "a").write_bytes(b"a" * 1000)
    (work / "b").write_bytes(b"b")


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(cache, "_swept", set())
    return tmp_path / "new" / "cache"


def give_away(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make ``path`` another user's; without root, be another user."""
    if os.geteuid() == 0:
        os.chown(path, STRANGER, STRANGER, follow_symlinks=False)
    else:
        monkeypatch.setattr(trust.os, "geteuid", lambda: STRANGER)


def test_folders_are_made_for_this_user_alone(root: Path) -> None:
    folder = cached(root / "x", build)
    assert [path.stat().st_mode & 0o777 for path in (root.parent, root, folder)] == [0o700, 0o700, 0o755]
    assert (root / "x.lock").stat().st_mode & 0o777 == 0o600
    assert sorted(path.name for path in root.iterdir()) == ["x", "x.lock"]


@pytest.mark.parametrize("part", ["..", "", "x", "x/b", "x/part", "x/part/a", f"x/{MANIFEST}", "x.lock"])
def test_what_belongs_to_another_user_is_refused(part: str, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cached(root / "x", build)
    if part.endswith(".lock"):
        (root / "x" / MANIFEST).unlink()
    give_away(root / part, monkeypatch)
    with pytest.raises(OpzoError, match=r"belongs to another user .*set OPZO_CACHE to a folder of your own"):
        cached(root / "x", build)


@pytest.mark.parametrize(
    ("part", "mode"),
    [(part, mode) for part in ("", "x", "x/b", "x/part", "x/part/a", f"x/{MANIFEST}") for mode in (0o770, 0o707)],
)
def test_what_others_can_write_is_refused(part: str, mode: int, root: Path) -> None:
    cached(root / "x", build)
    (root / part).chmod(mode)
    with pytest.raises(OpzoError, match=rf"other users can write in {root / part}, .*chmod go-w {root / part}"):
        cached(root / "x", build)
    (root / part).chmod(0o755)
    cached(root / "x", build)


def test_build_with_the_sticky_bit_is_refused(root: Path) -> None:
    cached(root / "x", build)
    (root / "x").chmod(0o1777)
    with pytest.raises(OpzoError, match=f"other users can write in {root}/x, .*put there; {trust.REMEDY}"):
        cached(root / "x", build)


def test_builds_of_users_with_umask_002_are_trusted(root: Path) -> None:
    before = os.umask(0o002)
    try:
        folder = cached(root / "x", build)
        cached(root / "x", build)
    finally:
        os.umask(before)
    assert [path.stat().st_mode & 0o022 for path in (root, folder, folder / "b", folder / "part")] == [0] * 4


@pytest.mark.parametrize("private", [True, False])
def test_parent_may_be_shared_with_a_group_of_this_user_alone(
    private: bool, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trust, "_private", lambda uid, gid: private)
    cached(root / "x", build)
    root.parent.chmod(0o770)
    if private:
        cached(root / "x", build)
    else:
        with pytest.raises(OpzoError, match=f"other users can write in {root.parent}, .*chmod go-w {root.parent}, or"):
            cached(root / "x", build)
    root.chmod(0o770)
    with pytest.raises(OpzoError, match=f"other users can write in {root.parent}"):
        cached(root / "x", build)


def test_only_the_owner_is_told_to_change_the_mode(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cached(root / "x", build)
    root.chmod(0o777)
    status = os.stat_result((0o40777, 1, 1, 1, 0, 0, 0, 0, 0, 0))
    monkeypatch.setattr(trust.os, "geteuid", lambda: STRANGER)
    assert "chmod" not in str(trust._refusal(root, status, trust.REMEDY))


def test_shared_folder_with_the_sticky_bit_is_taken_but_not_what_others_put_there(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root.mkdir(parents=True)
    root.chmod(0o1777)
    cached(root / "x", build)
    cached(root / "x", build)
    (root / "y").mkdir()
    give_away(root / "y", monkeypatch)
    with pytest.raises(OpzoError, match="belongs to another user"):
        cached(root / "y", build)


def test_folder_that_leads_to_the_cache_may_only_be_shared_with_the_sticky_bit(root: Path) -> None:
    cached(root / "x", build)
    root.parent.chmod(0o777)
    with pytest.raises(OpzoError, match=rf"other users can write in {root.parent},"):
        cached(root / "x", build)
    root.parent.chmod(0o1777)
    cached(root / "x", build)


def test_link_to_the_cache_counts_as_where_it_leads(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = tmp_path / "link"
    cached(root / "x", build)
    link.symlink_to(root)
    assert cached(link / "x", build).is_dir()
    give_away(link, monkeypatch)
    with pytest.raises(OpzoError, match="belongs to another user"):
        cached(link / "x", build)


def test_folder_of_a_link_to_the_cache_may_not_be_shared(root: Path, tmp_path: Path) -> None:
    cached(root / "x", build)
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared").chmod(0o777)
    (tmp_path / "shared" / "link").symlink_to(root)
    (tmp_path / "first").symlink_to("shared/link")
    for way in (tmp_path / "shared" / "link", tmp_path / "first"):
        with pytest.raises(OpzoError, match=rf"other users can write in {tmp_path / 'shared'},"):
            cached(way / "x", build)
    (tmp_path / "shared").chmod(0o1777)
    cached(tmp_path / "first" / "x", build)
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(OpzoError, match="cannot keep built files in"):
        cached(tmp_path / "loop" / "x", build)


def test_planted_links_are_not_followed(root: Path, tmp_path: Path) -> None:
    (tmp_path / "dear").write_text("to keep")
    root.mkdir(parents=True, mode=0o700)
    (root / "x.lock").symlink_to(tmp_path / "dear")
    with pytest.raises(OpzoError, match=r"x\.lock is a link"):
        cached(root / "x", build)
    (root / "y.lock").write_text("not emptied")
    cached(root / "y", build)
    assert (root / "y.lock").read_text() == "not emptied"
    (root / "z").symlink_to(root / "y")
    with pytest.raises(OpzoError, match="z is not a folder"):
        cached(root / "z", build)
    (root / "y" / "b").unlink()
    (root / "y" / "b").symlink_to(tmp_path / "dear")
    with pytest.raises(OpzoError, match="b is not a file"):
        cached(root / "y", build)
    assert (tmp_path / "dear").read_text() == "to keep"


def damages(folder: Path) -> list[Any]:
    return [
        lambda: os.truncate(folder / "part" / "a", 10),
        lambda: (folder / "part" / "a").write_bytes(b"a" * 999 + b"b"),
        lambda: (folder / "part" / "a").unlink(),
        lambda: (folder / MANIFEST).unlink(),
        lambda: (folder / MANIFEST).write_text('{"b":'),
        lambda: (folder / MANIFEST).write_text('["b"]'),
        lambda: (folder / MANIFEST).write_text("[" * 100_000),
    ]


@pytest.mark.parametrize("number", range(7))
def test_damaged_build_is_made_again(number: int, root: Path) -> None:
    folder = cached(root / "x", build)
    damages(folder)[number]()
    cached(folder, build)
    assert (folder / "part" / "a").read_bytes() == b"a" * 1000
    assert sorted(path.name for path in root.iterdir()) == ["x", "x.lock"]

    def again(work: Path) -> None:
        raise AssertionError("a complete one was built again")

    cached(folder, again)


def test_everything_is_on_the_disk_before_it_gets_its_name(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced = []

    def fsync(descriptor: int) -> None:
        synced.append((os.readlink(f"/proc/self/fd/{descriptor}"), (root / "x").exists()))

    if not Path("/proc/self/fd").is_dir():
        pytest.skip("names of open files are not known here")
    monkeypatch.setattr(os, "fsync", fsync)
    cached(root / "x", build)
    assert {Path(name).name for name, placed in synced if not placed} >= {"a", "b", "part", MANIFEST}
    assert synced[-1] == (str(root), True)


def test_folder_that_cannot_be_synced_is_no_error(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.fsync

    def fsync(descriptor: int) -> None:
        if os.path.isdir(f"/dev/fd/{descriptor}"):
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    durable.sync_folder(root.parents[1])
    assert cached(root / "x", build).is_dir()


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
def test_cache_without_locks_is_named(number: int, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def flock(*arguments: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", flock)
    with pytest.raises(OpzoError, match=rf"cannot lock files in {root} .*OPZO_CACHE"):
        cached(root / "x", build)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EDQUOT, errno.EIO])
def test_cache_without_room_is_named(number: int, root: Path) -> None:
    def full(work: Path) -> None:
        raise OSError(number, os.strerror(number), str(work / "a"))

    with pytest.raises(
        OpzoError, match=rf"cannot keep built files in {root} \({os.strerror(number)}\); set OPZO_CACHE"
    ):
        cached(root / "x", full)
    assert [path.name for path in root.iterdir()] == ["x.lock"]


def test_file_that_the_build_reads_is_not_the_cache_s_fault(root: Path) -> None:
    def read(work: Path) -> None:
        Path("/absent/source").read_bytes()

    with pytest.raises(FileNotFoundError, match="/absent/source"):
        cached(root / "x", read)


@pytest.mark.parametrize("name", ["OPZO_CACHE", "XDG_CACHE_HOME"])
def test_home_that_is_not_there_is_named(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPZO_CACHE", raising=False)
    monkeypatch.setenv(name, "~no-such-user/x")
    with pytest.raises(OpzoError, match=r"no home folder for ~no-such-user/x; set OPZO_CACHE"):
        cache.cache_root()


@pytest.mark.parametrize("place", ["/proc/nope", "/dev/null/cache"])
def test_place_that_cannot_be_made_is_named(place: str) -> None:
    with pytest.raises(OpzoError, match=rf"cannot keep built files in {place} \(.*set OPZO_CACHE"):
        cached(Path(place) / "x", build)


def test_what_a_kill_leaves_is_removed_at_the_next_start(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = (
        "import pathlib, time\n"
        "from opzo.system.cache import cached\n"
        "def build(work):\n"
        "    (work / 'half').touch(); print('begun', flush=True); time.sleep(60)\n"
        f"cached(pathlib.Path({str(root / 'killed')!r}), build)\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        # A build under way is left alone.
        cached(root / "x", build)
        assert len(list(root.glob(".killed-*"))) == 1
        process.send_signal(signal.SIGKILL)
    monkeypatch.setattr(cache, "_swept", set())
    cached(root / "x", build)
    assert not list(root.glob(".killed-*"))


def test_names_that_are_not_utf8_have_a_hash() -> None:
    assert content_hash(Path(os.fsdecode(b"lat\xe9"))) != content_hash(Path("lat"))


def test_private_group_is_one_that_has_the_user_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    trust._private.cache_clear()

    class Entry:
        pw_name = gr_name = "me"
        gr_mem: tuple[str, ...] = ()

    monkeypatch.setattr(trust.pwd, "getpwuid", lambda uid: Entry)
    monkeypatch.setattr(trust.grp, "getgrgid", lambda gid: Entry)
    assert trust._private(1000, 1000)
    Entry.gr_mem = ("me", "you")
    assert not trust._private(1000, 1001)
    Entry.gr_name, Entry.gr_mem = "users", ()
    assert not trust._private(1000, 1002)
    trust._private.cache_clear()


def test_check_of_the_cache_names_the_build_that_others_can_change(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPZO_CACHE", str(root))
    cached(root / "bitstreams" / "x", build)
    cached(root / "y", build)
    (root / "y" / MANIFEST).write_text("{")
    assert cache.check_cache() == root
    (root / "bitstreams" / "x" / "b").chmod(0o666)
    with pytest.raises(OpzoError, match=rf"other users can write in {root}/bitstreams/x/b, .*chmod go-w"):
        cache.check_cache()


def test_code_that_another_program_keeps_may_not_be_changed_by_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = tmp_path / "kept"
    (kept / "tool").mkdir(parents=True)
    (kept / "tool" / "code").touch()
    (kept / "link").symlink_to("tool")
    trust.check_tree(kept, "set X")
    monkeypatch.setattr(trust, "_private", lambda uid, gid: False)
    for place in (tmp_path, kept, kept / "tool", kept / "tool" / "code"):
        before = place.stat().st_mode
        place.chmod(0o770)
        with pytest.raises(OpzoError, match=rf"other users can write in {place}, .*chmod go-w {place}, or set X"):
            trust.check_tree(kept, "set X")
        monkeypatch.setattr(trust, "_private", lambda uid, gid: True)
        trust.check_tree(kept, "set X")
        monkeypatch.setattr(trust, "_private", lambda uid, gid: False)
        place.chmod(before)
    kept.chmod(0o1777)
    with pytest.raises(OpzoError, match=rf"other users can write in {kept}, .*put there; set X"):
        trust.check_tree(kept, "set X")
    kept.chmod(0o700)
    give_away(kept / "tool" / "code", monkeypatch)
    with pytest.raises(OpzoError, match=r"belongs to another user .*set X"):
        trust.check_tree(kept, "set X")
