"""Messages to all open pages, from the thread of the device to that of the server."""

import asyncio
import json
import threading
from collections.abc import Callable
from typing import Any

from opzo.spec.messages import printable

PAGES_MAX = 16
"""Most pages that are open at a time."""
QUEUE_MAX = 256
"""Most messages that wait for a page; a page that is slower is closed, and connects again."""
GREETING = ("hello", "status", "curves", "progress", "sample", "weights")
"""Kinds of messages whose last one a new page gets, in this order."""


def problem(error: Exception) -> dict[str, Any]:
    """Message to a page whose request failed."""
    return {"kind": "error", "text": printable(str(error))}


class Page:
    """Messages that wait for an open page; None closes it."""

    def __init__(self) -> None:
        self.waiting: asyncio.Queue[str | None] = asyncio.Queue(QUEUE_MAX)
        self.busy = False
        """Whether a request of the page is unanswered."""

    def put(self, text: str) -> None:
        """Add a message, or close the page where it is too slow. Only in the thread of the server."""
        if self.waiting.qsize() >= QUEUE_MAX - 1:
            while not self.waiting.empty():
                self.waiting.get_nowait()
            self.waiting.put_nowait(None)
        else:
            self.waiting.put_nowait(text)


class Hub:
    """The open pages; `publish` and `reply` may be called from any thread, all else only from that of the server."""

    def __init__(self) -> None:
        self._pages: set[Page] = set()
        self._last: dict[str, str] = {}
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None

    def start(self) -> None:
        """Begin to deliver messages, in the running event loop."""
        self._loop = asyncio.get_running_loop()

    @property
    def watched(self) -> bool:
        """Whether a page is open."""
        return bool(self._pages)

    def publish(self, message: dict[str, Any]) -> None:
        """Send a message to all pages. New ones get the last of each kind in GREETING."""
        text = json.dumps(message)
        with self._lock:
            if message["kind"] in GREETING:
                key = f"{message['kind']} {message.get('layer', '')}"
                self._last[key] = text
        self._in_loop(self._deliver, text)

    def reply(self, page: Page, message: dict[str, Any]) -> None:
        """Send the answer to a request of a page, which may then send another one."""
        self._in_loop(self._answer, page, json.dumps(message))

    def join(self) -> Page | None:
        """A new page; None where there are too many."""
        if len(self._pages) >= PAGES_MAX:
            return None
        page = Page()
        with self._lock:
            for text in sorted(self._last, key=lambda key: GREETING.index(key.partition(" ")[0])):
                page.put(self._last[text])
        self._pages.add(page)
        return page

    def leave(self, page: Page) -> None:
        """Forget a page that was closed."""
        self._pages.discard(page)

    def _in_loop(self, call: Callable[..., None], *arguments: Any) -> None:
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(call, *arguments)

    def _deliver(self, text: str) -> None:
        for page in self._pages:
            page.put(text)

    def _answer(self, page: Page, text: str) -> None:
        page.busy = False
        page.put(text)
