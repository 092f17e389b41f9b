"""No damage to a file ends a reader otherwise than with a result or one sentence: mutations at random, from a seed."""

import subprocess
import sys
from pathlib import Path

import mutations
import pytest


def run(seed: int, count: int, *, seconds: int) -> None:
    """In a process of its own, so that a crash of a library is seen and memory is bounded."""
    command = [sys.executable, str(Path(mutations.__file__)), str(seed), str(count)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds)
    assert done.returncode == 0, f"{done.stdout[-8000:]}\nlast: {done.stderr[-2000:]}"


def test_damaged_files_are_read_or_refused() -> None:
    run(1, 60, seconds=600)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100, 104))
def test_many_damaged_files_are_read_or_refused(seed: int) -> None:
    run(seed, 3000, seconds=7200)
