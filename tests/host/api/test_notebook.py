"""A real notebook: what its cells show of compiling, training and warnings, and that one switch silences it."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest

MAKE = """
import numpy as np
import opzo
rng = np.random.default_rng(0)
y = np.arange(60) % 3
x = np.kron(np.eye(3), np.ones(3))[y] * 200 + rng.integers(0, 55, (60, 9))
network = opzo.Network("9-12-3")
"""
CELLS = {
    "make": MAKE,
    "connect": 'device = opzo.connect("fast", network, lanes=4)',
    "fit": "model = opzo.Model(network, device, seed=0)\nhistory = model.fit(x, y, test=(x, y), epochs=2)",
    "evaluate": 'print(model.evaluate(x, y)["samples"])',
    "failing": "history = opzo.Model(network, device, rate=255, kappa=500).fit(x // 4, y[::-1], epochs=1)",
    "show": "device",
    "quiet call": "history = opzo.Model(network, device).fit(x, y, epochs=1, progress=False)",
    "switch": "opzo.set_verbose(False)",
    "quiet connect": 'device = opzo.connect("fast", network, lanes=8)',
    "quiet fit": "history = opzo.Model(network, device, rate=255, kappa=500).fit(x // 4, y[::-1], epochs=1)",
}


@pytest.fixture(scope="module")
def outputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Any]]:
    """Outputs of each cell, after ``jupyter nbconvert --execute`` with an empty cache of builds."""
    folder = tmp_path_factory.mktemp("notebook")
    cells = [nbformat.v4.new_code_cell(text) for text in CELLS.values()]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), folder / "test.ipynb")
    # A busy machine takes its time.
    patience = [f"--ExecutePreprocessor.{name}_timeout=200" for name in ("startup", "iopub")]
    command = [
        sys.executable,
        "-m",
        "nbconvert",
        "--to",
        "notebook",
        "--execute",
        "--output",
        "done",
        "test.ipynb",
        *patience,
    ]
    source = str(Path(__file__).resolve().parents[3] / "src")
    environment = os.environ | {"OPZO_CACHE": str(folder / "cache"), "PYTHONPATH": source}
    # The kernel of this environment, without what the user has set up.
    environment |= {"JUPYTER_PREFER_ENV_PATH": "1", "JUPYTER_CONFIG_DIR": str(folder), "IPYTHONDIR": str(folder)}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    executed = nbformat.read(folder / "done.ipynb", as_version=4)
    return dict(zip(CELLS, (cell.outputs for cell in executed.cells), strict=True))


def text(outputs: list[Any]) -> str:
    """All that a cell shows."""
    return "\n".join(output.get("text") or output["data"]["text/plain"] for output in outputs)


def test_compiling_is_told(outputs: dict[str, list[Any]]) -> None:
    assert "opzo: compiling the fast model for 4 lanes" in text(outputs["connect"])


def test_epochs_and_progress_are_shown(outputs: dict[str, list[Any]]) -> None:
    shown = text(outputs["fit"])
    lines = [line.split()[0] for line in shown.splitlines() if line and line.split()[0].isdigit()]
    assert lines == ["1", "2"]
    assert "test %" in shown
    assert "epoch 2/2, 60 of 60 samples" in shown
    assert "warning" not in shown
    # The red box of stderr is for errors.
    assert {output.get("name", "stdout") for output in outputs["fit"]} == {"stdout"}
    assert text(outputs["evaluate"]) == "60\n"
    assert text(outputs["show"]) == "<Device 'fast': 4 lanes, 16-bit weights, holds 9-12-3>"


def test_training_that_fails_is_told(outputs: dict[str, list[Any]]) -> None:
    assert "opzo: warning: hidden layer 1 hardly spikes" in text(outputs["failing"])
    assert "lower kappa" in text(outputs["failing"])


def test_one_switch_silences_everything(outputs: dict[str, list[Any]]) -> None:
    for cell in ("quiet call", "switch", "quiet connect", "quiet fit"):
        assert outputs[cell] == [], cell
