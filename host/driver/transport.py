"""Byte transports: what carries the link's bytes to a device."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, Self


class Transport(Protocol):
    """A byte stream to a device. ``write`` and ``read`` raise OSError when it breaks."""

    def write(self, data: bytes) -> None:
        """Send all of ``data``."""

    def read(self, timeout: float) -> bytes:
        """Bytes that have arrived; waits at most ``timeout`` seconds for the first, then returns b""."""

    def close(self) -> None:
        """Release the device; a second call does nothing."""


class SimulatedTransport(Transport, Protocol):
    """A byte stream to a simulated device, which lives in this process and ends with the transport.

    ``read`` returns b"" at once where the device is idle.
    """

    busy: bool
    """Whether the device has work to do."""


@dataclass(frozen=True)
class Connection:
    """How to reach a device: ``open`` makes a fresh transport to it, again after the old one broke.

    Parameters
    ----------
    name : str
        Device string, for messages.
    open : callable
        Makes the transport; raises OpzoError where it cannot.
    patience : float
        Seconds without a byte after which the link sends again.
    reopens : bool
        Whether a fresh transport reaches the same device; the simulated ones live inside the transport.
    slow : bool
        Whether a reply may take seconds even where no byte is lost.
    """

    name: str
    open: Callable[[], Transport]
    patience: float
    reopens: bool
    slow: bool = False

    @classmethod
    def over(cls, transport: Transport, name: str, patience: float = 5.0) -> Self:
        """Connection over a transport that is open already; it is not opened again once it breaks."""
        return cls(name, lambda: transport, patience, reopens=False)
