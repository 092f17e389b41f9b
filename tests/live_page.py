"""Helpers for tests of the live page: a session without a server, and one in a process of its own."""

import subprocess
import sys
from base64 import b64decode
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from opzo.host.live.hub import Hub, Page
from opzo.host.live.session import LiveSession

SEVEN = [[[0.3, 0.2], [0.7, 0.2], [0.45, 0.85]], [[0.35, 0.5], [0.65, 0.5]]]
"""Strokes of a seven."""


class RecordingHub(Hub):
    """Keeps the messages; ends the session after some replies."""

    def __init__(self, replies: int) -> None:
        super().__init__()
        self.published: list[dict[str, Any]] = []
        self.replies: list[dict[str, Any]] = []
        self.session: LiveSession | None = None
        self._left = replies

    @property
    def watched(self) -> bool:
        return True

    def publish(self, message: dict[str, Any]) -> None:
        self.published.append(message)
        super().publish(message)

    def reply(self, page: Page, message: dict[str, Any]) -> None:
        self.replies.append(message)
        if len(self.replies) == self._left and self.session is not None:
            self.session.close()

    def of(self, kind: str) -> list[dict[str, Any]]:
        """Published messages of a kind."""
        return [message for message in self.published if message["kind"] == kind]


def bytes_of(text: str) -> NDArray[np.uint8]:
    """Bytes in a message."""
    return np.frombuffer(b64decode(text), np.uint8)


@contextmanager
def live(arguments: list[str], cwd: Path) -> Iterator[tuple["subprocess.Popen[str]", str]]:
    """Process of ``opzo live``, and the address of its page; it is killed at the end if it still runs."""
    command = [sys.executable, "-m", "opzo", "live", *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=cwd)
    try:
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        assert address, process.communicate()[1]
        yield process, address
    finally:
        process.kill()
        process.communicate()
