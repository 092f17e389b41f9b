"""Tables in a terminal of 80 columns."""

import fcntl
import os
import struct
import subprocess
import sys
import termios
from pathlib import Path

import pytest


def in_terminal(arguments: list[str], columns: int = 80) -> list[str]:
    """Lines that a command shows in a terminal; checks that it succeeds."""
    master, slave = os.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    environment = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
    with subprocess.Popen(
        [sys.executable, "-m", "opzo", *arguments], stdin=slave, stdout=slave, stderr=slave, env=environment
    ) as process:
        os.close(slave)
        shown = b""
        try:
            while part := os.read(master, 1 << 16):
                shown += part
        except OSError:
            # Linux reports the end of the other side so.
            pass
        os.close(master)
    assert process.returncode == 0, shown.decode()
    return shown.decode().splitlines()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["eval", "RUN", "--energy"], "the same network in float on a CPU"),
        (["boards", "--net", "64-64-10"], "engine and link: training samples/s"),
        (["doctor"], "device golden: ran a sample"),
        ([], "checks this machine"),
    ],
)
def test_lines_fit_80_columns(arguments: list[str], said: str, run: Path) -> None:
    lines = in_terminal([str(run) if argument == "RUN" else argument for argument in arguments])
    assert any(said in line for line in lines)
    # Paths may be long.
    assert max(len(line) for line in lines if "/" not in line or "samples/s" in line) <= 80


def test_matrix_gives_way_to_what_is_confused_most_where_it_does_not_fit(run: Path) -> None:
    assert any("predicted class" in line for line in in_terminal(["eval", str(run)], 80))
    narrow = in_terminal(["eval", str(run)], 20)
    assert not any("predicted class" in line for line in narrow)
    assert any("taken for" in line for line in narrow)
