"""bench/history.py, without a measurement: the line, what is refused, the picture."""

import json
import subprocess
from pathlib import Path

import history
import pytest
from history_figure import draw, picture
from matplotlib.figure import Figure

from opzo.spec.errors import OpzoError

FIGURES = {
    "cycles": {"dense": {"test": 100.5, "train": 200.25}, "convolution": {"test": 300.0, "train": 400.0}},
    "samples_per_loop": {"rtl": 2.5, "fast": 90.0},
}
CELLS = {"LUT": 13000, "FF": 10000, "DP16KD": 6, "MULT18X18D": 10}
LINE = {"commit": "a" * 40, "date": "2026-11-30T12:00:00+00:00", **FIGURES, "cells": CELLS}


def git(root: Path, *arguments: str) -> None:
    subprocess.run(["git", "-c", "user.name=a", "-c", "user.email=a@b", *arguments], cwd=root, check=True)


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with one commit, and stand-ins for all measurements."""
    (tmp_path / "file").touch()
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", "file")
    git(tmp_path, "commit", "-qm", "first")
    monkeypatch.setattr(history, "ROOT", tmp_path)
    monkeypatch.setattr(history, "HISTORY", tmp_path / "history.jsonl")
    monkeypatch.setattr(history, "PICTURE", tmp_path / "history.png")
    monkeypatch.setattr(history, "simulated", lambda: FIGURES)
    monkeypatch.setattr(history, "cells", lambda: CELLS)
    monkeypatch.setattr(history, "clock", lambda: 95.5)
    return tmp_path


def main(monkeypatch: pytest.MonkeyPatch, *options: str) -> int:
    monkeypatch.setattr("sys.argv", ["history.py", *options])
    return history.main()


def test_each_run_appends_a_line_and_draws(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(monkeypatch, "--json") == 0
    printed = capsys.readouterr().out
    row = json.loads(printed)
    assert (root / "history.jsonl").read_text() == printed
    assert len(row["commit"]) == 40
    assert row["date"].startswith("20")
    assert row["python"]
    assert row["cpu"]
    assert {name: row[name] for name in FIGURES} == FIGURES
    assert row["cells"] == CELLS
    assert "clock_mhz" not in row
    assert "dirty" not in row
    # What the first run wrote does not make the tree dirty.
    assert main(monkeypatch, "--clock", "--json") == 0
    rows = [json.loads(line) for line in (root / "history.jsonl").read_text().splitlines()]
    assert [found.get("clock_mhz") for found in rows] == [None, 95.5]
    assert (root / "history.png").read_bytes().startswith(b"\x89PNG")


def test_changed_files_are_refused_or_marked(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (root / "file").write_text("changed")
    assert main(monkeypatch) == 2
    assert capsys.readouterr().err == (
        "opzo: error: 1 files differ from the commit, such as file; commit, or give --dirty\n"
    )
    assert not (root / "history.jsonl").exists()
    assert main(monkeypatch, "--dirty", "--json") == 0
    assert json.loads(capsys.readouterr().out)["dirty"] is True


def test_failed_measurement_adds_no_line(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail() -> dict[str, int]:
        raise OpzoError("no yosys; install it")

    monkeypatch.setattr(history, "cells", fail)
    assert main(monkeypatch) == 2
    assert capsys.readouterr() == ("", "opzo: error: no yosys; install it\n")
    assert not (root / "history.jsonl").exists()


def test_folder_without_git_and_damaged_lines_are_named(
    root: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history, "ROOT", tmp_path_factory.mktemp("bare"))
    with pytest.raises(OpzoError, match=r"git status failed in .*not a git repository"):
        history.commit(dirty=False)
    (root / "history.jsonl").write_text("{}\n[]\n")
    with pytest.raises(OpzoError, match="line 2: not a JSON object"):
        history.read(root / "history.jsonl")


def test_speed_is_the_median_of_samples_per_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    # The loop takes 2 s, the work 1, 4 and 8 s for 6 samples.
    times = iter([2.0, 1.0, 2.0, 4.0, 2.0, 8.0])

    def seconds(work):
        return next(times), work()

    monkeypatch.setattr(history, "cpu_seconds", seconds)
    assert history.in_turns({"x": lambda: 6}, 3) == {"x": 3.0}
    monkeypatch.setattr(history, "cpu_seconds", lambda work: (0.0, work()))
    with pytest.raises(OpzoError, match="nothing was measured"):
        history.in_turns({"x": lambda: 6}, 1)


def test_fixed_loop_is_fixed() -> None:
    assert history.fixed_loop() == history.fixed_loop() == 21242234752


@pytest.mark.parametrize("rows", [1, 2, 30])
def test_picture_of_few_and_many_lines(rows: int) -> None:
    lines = [LINE | ({"clock_mhz": 90.0 + n} if n % 3 == 1 else {}) for n in range(rows)]
    assert picture(lines).startswith(b"\x89PNG")


def test_logarithmic_charts_show_all_their_points() -> None:
    part = Figure().subplots()
    draw(part, "x", {"low": lambda row: 2.0, "high": lambda row: 900.0}, [LINE], log=True)
    assert part.get_yscale() == "log"
    bottom, top = part.get_ylim()
    assert 0 < bottom < 2 < 900 < top
