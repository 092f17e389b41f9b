"""Work of libraries on files of strangers, tried in a process of its own first.

Libraries in C and Rust may run without an end, crash, or end their process at bytes that they do not foresee. What a
child process has come through, this process does too.
"""

import os
import signal
import warnings
from collections.abc import Callable
from math import ceil

from opzo.spec.errors import OpzoError

SECONDS = 10.0
BYTES_A_SECOND = 5e6
"""A slower disk or decoder is not to be waited for."""


def probe(what: str, size: int, work: Callable[[], object]) -> None:
    """Do ``work`` on a file of ``size`` bytes in a child process; OpzoError where it crashes or has no end.

    Exceptions of ``work`` are none here: it meets them again when it is done in this process.
    """
    limit = ceil(SECONDS + size / BYTES_A_SECOND)
    with warnings.catch_warnings():
        # Python warns of forks where there are threads; the child does nothing but this work.
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
    """All that the child does; it says nothing, and leaves no trace of this process's clean-up."""
    try:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGALRM):
            signal.signal(number, signal.SIG_DFL)
        # Ends it in the middle of a library too, and where its parent is gone.
        signal.alarm(limit)
        silent = os.open(os.devnull, os.O_WRONLY)
        for stream in (1, 2):
            os.dup2(silent, stream)
        work()
    finally:
        os._exit(0)
