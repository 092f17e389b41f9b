"""Robust standard streams of a command: closed, full, without a reader, or not UTF-8."""

import codecs
import io
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, TextIO, cast

ERRORS = "opzo.printed"
"""Name of `_printed` for text streams."""
NAMES = ("stdin", "stdout", "stderr")


def _printed(error: UnicodeError) -> tuple[str | bytes, int]:
    """Replacement for a character that cannot be encoded: the byte of an undecodable file name, else an escape."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    character, end = error.object[error.start], error.start + 1
    if "\udc80" <= character <= "\udcff":
        return character.encode("ascii", "surrogateescape"), end
    return character.encode("ascii", "backslashreplace").decode(), end


codecs.register_error(ERRORS, _printed)


class Output:
    """Text stream whose writes never fail; after the first failure output is discarded.

    Parameters
    ----------
    inner : text stream
    interrupt : bool
        Whether the first failure ends the command as Ctrl-C does.

    Attributes
    ----------
    error : OSError or None
        The first failure.
    """

    def __init__(self, inner: TextIO, *, interrupt: bool) -> None:
        self._inner, self._interrupt = inner, interrupt
        self.error: OSError | None = None
        if isinstance(inner, io.TextIOWrapper):
            inner.reconfigure(errors=ERRORS)

    def write(self, text: str) -> int:
        """Write text."""
        if self.error is None:
            try:
                return self._inner.write(text)
            except OSError as error:
                self._fail(error)
        return len(text)

    def flush(self) -> None:
        """Flush the stream."""
        if self.error is None:
            try:
                self._inner.flush()
            except OSError as error:
                self._fail(error)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def _fail(self, error: OSError) -> None:
        self.error = error
        with suppress(OSError, ValueError):
            # Data left in the buffer would fail again at exit.
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._inner.fileno())
            os.close(nowhere)
        if self._interrupt:
            if threading.current_thread() is threading.main_thread() and callable(signal.getsignal(signal.SIGINT)):
                signal.raise_signal(signal.SIGINT)
            else:
                raise KeyboardInterrupt


@contextmanager
def standard_streams() -> Iterator[Output]:
    """Make the three standard streams usable within the block; yields standard output."""
    closed = [name for number, name in enumerate(NAMES) if _open(number, name)]
    before = sys.stdout, sys.stderr
    stdout = Output(sys.stdout, interrupt=True)
    sys.stdout, sys.stderr = cast(TextIO, stdout), cast(TextIO, Output(sys.stderr, interrupt=False))
    try:
        if "stdout" in closed:
            print("opzo: warning: standard output is closed; results are not shown", file=sys.stderr)
        yield stdout
    finally:
        sys.stdout, sys.stderr = before


def _open(number: int, name: str) -> bool:
    """Open a closed standard stream on the null device, so that no file gets its number; whether it was closed."""
    if getattr(sys, name) is not None:
        return False
    nowhere = os.open(os.devnull, os.O_RDWR)
    try:
        os.fstat(number)
    except OSError:
        os.dup2(nowhere, number)
    if nowhere != number:
        stream = open(nowhere, "r" if number == 0 else "w", encoding="utf-8")
    else:
        # Inherited by programs that opzo starts.
        os.set_inheritable(number, True)
        stream = open(number, "r" if number == 0 else "w", encoding="utf-8", closefd=False)
    setattr(sys, name, stream)
    return True


@contextmanager
def ended_by_signals() -> Iterator[None]:
    """Within the block, SIGTERM and SIGHUP act like Ctrl-C, so that clean-up code runs."""
    changed = []
    if threading.current_thread() is threading.main_thread():
        changed = [n for n in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(n) is signal.SIG_DFL]
    for number in changed:
        signal.signal(number, signal.default_int_handler)
    try:
        yield
    finally:
        for number in changed:
            signal.signal(number, signal.SIG_DFL)
