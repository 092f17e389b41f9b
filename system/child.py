"""Programs that opzo runs: they end when opzo does, however it ends."""

import os
import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

PATIENCE = 2.0
"""Seconds in which a program may remove its temporary files before it is killed."""
# The program's group is killed when the pipe on standard input, whose other end only opzo holds, is closed: also where
# opzo was killed. The watcher is not a child of the program, which might wait for it.
_WATCHED = 'exec 3<&0; ( (read _; kill -s KILL -- -$$) <&3 >/dev/null 2>&1 & ); exec "$@" <"$0" 3<&-'

_running: set[subprocess.Popen[bytes]] = set()


def run_child(
    command: Sequence[str],
    cwd: Path,
    *,
    stdin: Path = Path(os.devnull),
    log: IO[bytes] | None = None,
    env: Mapping[str, str] | None = None,
) -> tuple[int, bytes]:
    """Run a program to its end; its exit code, below zero for a signal, and what it said on stdout and stderr.

    It is ended, with all programs that it started, when this call ends by an exception, when `end_children` is called
    or when this process ends. OSError where it cannot be started.

    Parameters
    ----------
    command : sequence of str
    cwd : path
        Its working folder, and the folder of its temporary files.
    stdin : path
        File that it reads as standard input.
    log : file or None
        Gets the output instead, which is returned empty then.
    env : mapping or None
        Environment variables besides those of this process.
    """
    if shutil.which(command[0], path=None if env is None else env.get("PATH")) is None:
        raise FileNotFoundError(2, os.strerror(2), command[0])
    process = subprocess.Popen(
        ["/bin/sh", "-c", _WATCHED, str(stdin), *command],
        cwd=cwd,
        env={**os.environ, "TMPDIR": str(cwd), **(env or {})},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE if log is None else log,
        stderr=subprocess.STDOUT,
        process_group=0,
    )
    _running.add(process)
    try:
        output = b"" if process.stdout is None else process.stdout.read()
        return process.wait(), output
    finally:
        _end(process)
        _running.discard(process)


def end_children() -> None:
    """End the programs that other threads wait for."""
    for process in tuple(_running):
        _signal(process, signal.SIGTERM)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End what is left of a program's group."""
    try:
        if process.poll() is None:
            _signal(process, signal.SIGTERM)
            try:
                process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                pass
    finally:
        _signal(process, signal.SIGKILL)
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()
        process.wait()


def _signal(process: subprocess.Popen[bytes], number: int) -> None:
    try:
        os.killpg(process.pid, number)
    except (ProcessLookupError, PermissionError):
        # Nothing is left of the group; macOS says EPERM where only zombies are.
        pass
