"""Trial runs of libraries on untrusted files in a child process.

Libraries in C and Rust may hang, crash, or abort the process on unexpected bytes. If a child process gets through the
file, this process will too.
"""

import os
import signal
import warnings
from collections.abc import Callable
from math import ceil

from opzo.spec.errors import OpzoError

SECONDS = 10.0
BYTES_PER_SECOND = 5e6
"""Minimum speed of reading; a slower one counts as a hang."""


def probe(what: str, size: int, work: Callable[[], object]) -> None:
    """Do ``work`` on a file of ``size`` bytes in a child process; OpzoError if it crashes or hangs.

    Exceptions of ``work`` are ignored here, because they occur again when it is done in this process.
    """
    limit = ceil(SECONDS + size / BYTES_PER_SECOND)
    with warnings.catch_warnings():
        # Python warns of forks with threads; the child does nothing but this work.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        _work(work, limit)
    try:
        _, status = os.waitpid(child, 0)
    except BaseException:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        raise
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        reason = f"takes more than {limit} s" if number == signal.SIGALRM else f"ends in {signal.Signals(number).name}"
        raise OpzoError(f"{what}: reading it {reason}; the file is damaged: copy it again")


def _work(work: Callable[[], object], limit: int) -> None:
    """Run in the child: silent, and without the exit handlers of this process."""
    try:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGALRM):
            signal.signal(number, signal.SIG_DFL)
        # Also ends the child inside a library, and if its parent is gone.
        signal.alarm(limit)
        silent = os.open(os.devnull, os.O_WRONLY)
        for stream in (1, 2):
            os.dup2(silent, stream)
        work()
    finally:
        os._exit(0)
