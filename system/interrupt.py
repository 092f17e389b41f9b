"""Ctrl-C that lets the sample under way finish."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType, TracebackType
from typing import Any, Self

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupt:
    """While in its ``with`` block, the first Ctrl-C, SIGTERM or SIGHUP only asks to stop; a second one ends at once.

    Parameters
    ----------
    tell : callable
        Called at the first one, to answer the user.

    Attributes
    ----------
    requested : bool
        Whether there was one.
    """

    def __init__(self, tell: Callable[[], None] = lambda: None) -> None:
        self.requested = False
        self._tell = tell
        self._at_once = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        # Signals belong to the main thread; elsewhere (a notebook's worker) there is nothing to catch.
        if threading.current_thread() is threading.main_thread():
            # Who started this with nohup wants SIGHUP ignored.
            caught = [n for n in SIGNALS if n != signal.SIGHUP or signal.getsignal(n) is not signal.SIG_IGN]
            self._before = {number: signal.signal(number, self._handle) for number in caught}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """While in this block, the first one interrupts at once as well: for work of which nothing is kept."""
        self._at_once = True
        try:
            yield
        finally:
            self._at_once = False

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.requested:
            raise KeyboardInterrupt
        self.requested = True
        # A terminal that has closed cannot be told; what is to be saved must be saved all the same.
        with suppress(OSError):
            self._tell()
        if self._at_once:
            raise KeyboardInterrupt
