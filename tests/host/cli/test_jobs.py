"""Commands in processes of their own: what each says and how it ends."""

from contextlib import closing
from pathlib import Path

import pytest

from opzo.host.cli.jobs import NOT_RUN, Jobs


def test_what_a_process_says_and_its_exit_code_come_with_its_index(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A file of the working folder must not stand in for a module of the same name.
    (tmp_path / "numpy.py").write_text("raise SystemExit(99)")
    monkeypatch.chdir(tmp_path)
    said: list[tuple[int, str]] = []
    jobs = Jobs(2, lambda index, line: said.append((index, line)), lambda: None)
    codes = dict(jobs.run([["--version"], ["train", "--data", "nowhere.npz"], ["trian"]]))
    assert codes == {0: 0, 1: 2, 2: 2}
    assert sorted(index for index, _ in said) == [1, 2]
    assert all(line.startswith("opzo: error: ") for _, line in said)
    assert not jobs.stopped


def test_nothing_is_begun_once_it_was_stopped() -> None:
    told: list[str] = []
    jobs = Jobs(1, lambda index, line: None, lambda: told.append("stopping"))
    ended = []
    for index, code in jobs.run([["--version"]] * 3):
        ended.append((index, code))
        jobs._stop()
    assert (ended[0], ended[-1][1], told[0]) == ((0, 0), NOT_RUN, "stopping")


def test_an_error_of_the_caller_ends_the_processes(tmp_path: Path) -> None:
    long = ["train", "--device", "golden", "--net", "64-8-10", "--epochs", "100000", "--out", str(tmp_path / "r"), "-q"]
    jobs = Jobs(2, lambda index, line: None, lambda: None)

    def fail() -> None:
        with closing(jobs.run([["--version"], long])) as done:
            next(done)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert not jobs._processes
    assert jobs.stopped
