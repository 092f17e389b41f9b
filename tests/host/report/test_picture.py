"""Pictures do not depend on the user's settings of matplotlib, and one that fails does not fail a run."""

import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from opzo.host.report import curve
from opzo.host.report import matplotlib_settings as picture
from opzo.host.training.run_folder import RunFolder

PROGRAM = """
import hashlib, sys
from opzo.host.report.curve import curve_png
part = {"accuracy": 1.0, "firing_rates": [0.1, 0.2]}
rows = [{"epoch": n, "train": part, "test": part} for n in (1, 2)]
print(hashlib.sha256(curve_png(rows, "a_1 \\udce9 $x$")).hexdigest(), "pyplot" in str(sys.modules.keys()))
"""
SETTINGS = """
text.usetex: True
backend: Qt5Agg
savefig.format: pdf
savefig.bbox: tight
lines.linewidth: 20
axes.prop_cycle: cycler('color', ['r'])
font.family: no such font
"""


def drawn(**env: str) -> str:
    """Digest of a curve that a new process draws, and whether it loaded pyplot."""
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, env=os.environ | env)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_pictures_are_the_same_whatever_the_settings(tmp_path: Path) -> None:
    (tmp_path / "odd").mkdir()
    (tmp_path / "odd" / "matplotlibrc").write_text(SETTINGS)
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "matplotlibrc").write_bytes(b"\xff\xfe")
    expected = drawn()
    assert expected.split()[1] == "False"
    assert drawn(MPLCONFIGDIR=str(tmp_path / "odd"), MPLBACKEND="module://absent.backend") == expected
    assert drawn(MPLCONFIGDIR=str(tmp_path / "broken"), MPLBACKEND="absent") == expected


def test_picture_that_fails_is_one_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail() -> Any:
        raise RuntimeError("no\nfont")

    monkeypatch.setattr(picture, "_style", fail)
    folder = RunFolder(tmp_path)
    folder.rows = [{"epoch": 1}]
    with caplog.at_level(logging.WARNING, "opzo"):
        folder.write_curve("title")
    assert [record.getMessage() for record in caplog.records] == [
        r"warning: cannot write learning-curve.png: cannot draw a picture: no\nfont; "
        "install matplotlib again, it may be incomplete"
    ]
    assert list(tmp_path.iterdir()) == []


def test_axis_has_whole_epochs_and_all_points(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, Any] = {}

    def look(size: object, draw: Any, dpi: int = 0) -> bytes:
        from matplotlib.figure import Figure

        figure = Figure()
        draw(figure)
        figure.draw_without_rendering()
        accuracy, rates = figure.axes
        seen.update(ticks=rates.get_xticks(), limits=rates.get_xlim(), title=figure.get_suptitle())
        seen.update(top=rates.get_ylim()[1])
        seen.update(clipped=[line.get_clip_on() for line in (*accuracy.lines, *rates.lines)])
        return b""

    monkeypatch.setattr(curve, "picture_png", look)
    part = {"accuracy": 0.5, "firing_rates": [0.25]}
    curve.curve_png([{"epoch": 1, "train": part, "test": part}], "64-10, digits")
    assert seen["title"] == "64-10, digits"
    assert all(tick == round(tick) for tick in seen["ticks"])
    assert seen["top"] > 0.26
    assert seen["limits"] == (0.5, 1.5)
    assert seen["clipped"] == [False, False, False]
