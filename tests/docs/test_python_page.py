"""The examples of the guide to the Python API run, in the order of the page."""

import re
from pathlib import Path

import matplotlib
import pytest
from matplotlib import pyplot

import opzo

PAGE = Path(__file__).parents[2] / "docs" / "python.md"


def test_examples_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    matplotlib.use("agg")
    names: dict[str, object] = {}
    opzo.set_verbose(False)
    try:
        for block in re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL):
            exec(compile(block, str(PAGE), "exec"), names)
    finally:
        pyplot.close("all")
        opzo.set_verbose(True)
    assert names["spikes"] is not None
    assert (tmp_path / "inside.png").exists()
    assert float(names["accuracy"]) > 0.7  # type: ignore[arg-type]
    assert names["watcher"].score(names["spikes"], names["classes"]) > 0.8  # type: ignore[attr-defined]
