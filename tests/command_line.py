"""Helpers for tests of the command line."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from opzo.host.cli.main import main
from opzo.host.training.checkpoint import Checkpoint

NET = "9-8-3"
SMALL = ["--device", "golden", "--net", NET, "--lanes", "4", "--epochs", "2"]


def error_of(arguments: list[str], capsys: pytest.CaptureFixture[str], code: int = 2) -> str:
    """The error line; checks that it is the only one, the last on stderr, and not preceded by a traceback."""
    assert main([*arguments]) == code
    captured = capsys.readouterr()
    lines = [line for line in captured.err.splitlines() if line.startswith("opzo: error: ")]
    assert len(lines) == 1
    assert "Traceback" not in captured.err
    assert captured.err.splitlines()[-1] == lines[0]
    return lines[0]


def start(arguments: list[str], cwd: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "opzo", *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=cwd)


def assert_same_weights(a: Path, b: Path) -> None:
    first, second = (Checkpoint.load(path / "checkpoint.npz") for path in (a, b))
    for x, y in zip(
        first.state.weights + first.state.feedback, second.state.weights + second.state.feedback, strict=True
    ):
        np.testing.assert_array_equal(x, y)
    np.testing.assert_array_equal(first.state.lfsr, second.state.lfsr)
    assert first.epoch == second.epoch
