"""No input ends a reader otherwise than with a result or one sentence: a few inputs of each reader of bench/fuzz.py."""

import os
import subprocess
import sys
from pathlib import Path

import fuzz
import fuzz_group
import pytest

BENCH = Path(fuzz.__file__).parent


def python(*arguments: str, seconds: int) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join((str(BENCH), *filter(None, [os.environ.get("PYTHONPATH")])))
    environment = os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=seconds, env=environment)


@pytest.mark.parametrize("group", fuzz.GROUPS)
def test_a_few_inputs_are_read_or_refused(group: str) -> None:
    done = python(fuzz_group.__file__, group, "1", "60", seconds=600)
    assert done.returncode == 0, done.stderr[-4000:]


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100, 102))
def test_many_inputs_are_read_or_refused(seed: int, tmp_path: Path) -> None:
    options = ("--plain", "--count", "2000", "--seed", str(seed), "--save", str(tmp_path))
    done = python(fuzz.__file__, *options, seconds=7200)
    assert done.returncode == 0, done.stderr[-8000:]
