"""Ctrl-C handling that lets the present sample finish."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType, TracebackType
from typing import Any, Self

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupt:
    """Within its ``with`` block, the first Ctrl-C, SIGTERM or SIGHUP only requests a stop; a second one interrupts.

    Parameters
    ----------
    notify : callable
        Called at the first signal, to inform the user.

    Attributes
    ----------
    requested : bool
        Whether there was a signal.
    """

    def __init__(self, notify: Callable[[], None] = lambda: None) -> None:
        self.requested = False
        self._notify = notify
        self._at_once = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        # Only the main thread gets signals; in others, such as a notebook's worker, there is nothing to catch.
        if threading.current_thread() is threading.main_thread():
            # Under nohup SIGHUP stays ignored.
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
        """Within this block the first signal interrupts immediately: for work whose result is not saved."""
        self._at_once = True
        try:
            yield
        finally:
            self._at_once = False

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.requested:
            raise KeyboardInterrupt
        self.requested = True
        # The terminal may be closed; results must still be saved.
        with suppress(OSError):
            self._notify()
        if self._at_once:
            raise KeyboardInterrupt
