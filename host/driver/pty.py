"""A simulated device behind a pseudo-terminal, as a serial port for any program."""

import os
import select
import threading
import tty
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from opzo.host.driver.transport import SimulatedTransport
from opzo.spec.errors import OpzoError

CHUNK = 1 << 14
SLICE = 0.02
"""Seconds for which the device computes before the terminal is looked at again."""


def check_link(path: Path) -> None:
    """Raise OpzoError where a link of the name ``path`` cannot be made, before a device is made for it."""
    try:
        # Links to terminals, or to nothing any more, are what earlier devices left.
        if path.exists() and not (path.is_symlink() and path.is_char_device()):
            raise OpzoError(f"cannot make the link {path}: there is a file of that name; choose another path")
        attempt = path.with_name(f".opzo.{os.getpid()}.tmp")
        attempt.symlink_to("nowhere")
        attempt.unlink()
    except OSError as error:
        raise OpzoError(f"cannot make the link {path} ({error.strerror}); choose another path") from None


class PtyDevice:
    """Serve ``transport`` on a pseudo-terminal until `stop`; clients may come and go.

    `run` serves in the calling thread; as a context manager the device serves in a thread of its own. Raises OpzoError
    where ``link`` cannot be made.

    Parameters
    ----------
    transport : SimulatedTransport
        The device; closed at the end.
    link : path or None
        Symbolic link to make to the terminal, removed at the end; one that is there is replaced.

    Attributes
    ----------
    path : str
        The terminal, as a client opens it.
    """

    def __init__(self, transport: SimulatedTransport, link: str | Path | None = None) -> None:
        self._transport = transport
        # The slave stays open here too: without any opener the master would fail between two clients.
        self._master, self._slave = os.openpty()
        tty.setraw(self._slave)
        os.set_blocking(self._master, False)
        self.path = os.ttyname(self._slave)
        self._wake, self._waker = os.pipe()
        self._thread = threading.Thread(target=self.run, name="opzo-pty", daemon=True)
        self._link = None if link is None else Path(link)
        if self._link is not None:
            try:
                self._make_link(self._link)
            except OSError as error:
                self._link = None
                self.close()
                raise OpzoError(f"cannot make the link {link} ({error.strerror}); choose another path") from error

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        self._thread.join()
        self.close()

    def run(self) -> None:
        """Serve until `stop` is called or an exception, such as KeyboardInterrupt, comes."""
        outgoing = b""
        while True:
            busy = self._transport.busy and not outgoing
            writers = [self._master] if outgoing else []
            ready, writable, _ = select.select([self._master, self._wake], writers, [], 0 if busy else None)
            if self._wake in ready:
                return
            if self._master in ready:
                self._transport.write(os.read(self._master, CHUNK))
            if writable:
                with suppress(BlockingIOError):
                    outgoing = outgoing[os.write(self._master, outgoing) :]
            # A client that does not read holds the device up, as a full port does.
            if not outgoing:
                outgoing = self._transport.read(SLICE)

    def stop(self) -> None:
        """Make `run` return; may be called from another thread or a signal handler."""
        os.write(self._waker, b"\0")

    def close(self) -> None:
        """Remove the link and the terminal and release the device; a second call does nothing."""
        if self._master < 0:
            return
        if self._link is not None and self._link.is_symlink() and os.readlink(self._link) == self.path:
            self._link.unlink()
        for descriptor in (self._master, self._slave, self._wake, self._waker):
            os.close(descriptor)
        self._master = -1
        self._transport.close()

    def _make_link(self, link: Path) -> None:
        if link.is_symlink():
            link.unlink()
        link.symlink_to(self.path)
