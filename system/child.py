"""Child processes that end with opzo, even if opzo is killed."""

import os
import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

PATIENCE = 2.0
"""Seconds for a program to remove its temporary files before it is killed."""
# A watcher kills the program's process group when the pipe on standard input closes; only opzo has its other end, so
# that also happens when opzo is killed. The watcher is not a child of the program, which might wait for it.
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
    """Run a program; return its exit code, negative for a signal, and its output on stdout and stderr.

    The program and all its children are terminated when this call raises an exception, when `end_children` is called,
    or when this process ends. OSError if it cannot be started.

    Parameters
    ----------
    command : sequence of str
    cwd : path
        Working folder, also for temporary files.
    stdin : path
        File for standard input.
    log : file or None
        File that gets the output; the returned output is then empty.
    env : mapping or None
        Additional environment variables.
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
    """Terminate the programs that other threads wait for."""
    for process in tuple(_running):
        _signal(process, signal.SIGTERM)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Terminate what is left of a program's process group."""
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
        # The group is gone; macOS reports EPERM if only zombies are left.
        pass
