"""Byte transports: what carries the link's bytes to a device, and how a device string names one."""

import errno
import select
import termios
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import serial

from opzo.spec.errors import ChoiceError, OpzoError
from opzo.spec.messages import did_you_mean, printable, shown
from opzo.spec.network import Limits

DEFAULT_BAUD = 1_000_000
WRITE_TIMEOUT = 10.0
"""Seconds in which the operating system must take one frame, unless another time is given."""
SIMULATED = ("fast", "golden", "rtl")
DEVICES = "fast, golden, rtl or serial:/dev/ttyUSB0[@baud]"


class Transport(Protocol):
    """A byte stream to a device. ``write`` and ``read`` raise OSError when it breaks."""

    def write(self, data: bytes) -> None:
        """Send all of ``data``."""

    def read(self, timeout: float) -> bytes:
        """Bytes that have arrived; waits at most ``timeout`` seconds for the first, then returns b""."""

    def close(self) -> None:
        """Release the device; a second call does nothing."""


class SimulatedTransport(Transport, Protocol):
    """A byte stream to a device that exists only behind it."""

    busy: bool
    """Whether it has something to do."""


class SerialTransport:
    """A serial port, opened for this process alone. Raises OpzoError where the port is absent or busy."""

    def __init__(self, port: str, baud: int = DEFAULT_BAUD, write_timeout: float = WRITE_TIMEOUT) -> None:
        try:
            # timeout=0: waiting is done by select, because changing pyserial's timeout sets the port up anew.
            self._serial = serial.Serial(port, baud, timeout=0, write_timeout=write_timeout, exclusive=True)
            self._serial.reset_input_buffer()
        except (OSError, ValueError, termios.error) as error:
            raise OpzoError(_explain(port, baud, error)) from None

    def write(self, data: bytes) -> None:
        self._serial.write(data)

    def read(self, timeout: float) -> bytes:
        ready, _, _ = select.select([self._serial.fileno()], [], [], timeout)
        if not ready:
            return b""
        # The first byte is read without looking at the count: a port that was unplugged is ready, counts 0 and fails.
        first: bytes = self._serial.read(1)
        rest: bytes = self._serial.read(self._serial.in_waiting)
        return first + rest

    def close(self) -> None:
        self._serial.close()


def _explain(port: str, baud: int, error: Exception) -> str:
    """One sentence on why a port did not open, and what to do."""
    number = getattr(error, "errno", None)
    if number in (errno.ENOENT, errno.ENXIO, errno.ENODEV):
        return f"no device at {port}; is the board plugged in?"
    if number == errno.EACCES:
        return f"no permission to open {port}; add yourself to its group (often: sudo usermod -aG dialout $USER)"
    if number in (errno.EBUSY, errno.EAGAIN) or "exclusively lock" in str(error):
        return f"{port} is busy; close the other program that uses it"
    return f"{port} cannot be used as a serial port at {baud} baud ({error}); choose another port"


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
    """

    name: str
    open: Callable[[], Transport]
    patience: float
    reopens: bool


def connection(device: str, limits: Limits | None = None) -> Connection:
    """Connection of a device string; ``limits`` (simulated devices only) is what to build the device for."""
    if not isinstance(device, str):
        raise ChoiceError(f"a device is named by a text, not {shown(device)}; choose {DEVICES}")
    kind, _, rest = device.partition(":")
    if kind == "serial" and rest:
        port, baud = _split_baud(rest)
        return Connection(device, lambda: SerialTransport(port, baud), patience=1.0, reopens=True)
    if device not in SIMULATED:
        raise _no_device(device)
    if limits is None:
        raise OpzoError(
            f"'{device}' is simulated, and built for a network; name it: opzo.connect('{device}', network), where "
            "network = opzo.Network('64-64-10') or that of the data, data.network()"
        )
    # Nothing is lost on the way to a simulated device, but it may compute for long before it answers.
    return Connection(device, lambda: simulated(device, limits), patience=5.0, reopens=False)


def _no_device(name: str) -> ChoiceError:
    """Error of a device string that means nothing, with what may have been meant."""
    hint = did_you_mean(name, SIMULATED)
    if name.startswith("/dev/"):
        hint = f" (did you mean 'serial:{printable(name)}'?)"
    elif name in ("serial", "serial:"):
        hint = " without its port (opzo ports lists them)"
    return ChoiceError(f"{shown(name)} is not a device{hint}; choose {DEVICES}")


def _split_baud(text: str) -> tuple[str, int]:
    port, at, baud = text.rpartition("@")
    if not at:
        return text, DEFAULT_BAUD
    if not (baud.isascii() and baud.isdigit() and len(baud) < 10 and int(baud)):
        raise OpzoError(f"{shown(baud)} is not a baud rate; write serial:{port}@{DEFAULT_BAUD}")
    return port, int(baud)


def simulated(device: str, limits: Limits) -> SimulatedTransport:
    """Simulated device ``fast``, ``golden`` or ``rtl``, built for ``limits``; OpzoError where what it needs is missing.

    ``golden`` is the golden model, ``fast`` the same in compiled code, ``rtl`` the gateware cycle for cycle.
    """
    if device == "golden":
        from opzo.sim.golden.core import GoldenCore
        from opzo.sim.model_transport import ModelTransport

        return ModelTransport(GoldenCore(limits))
    if device == "fast":
        from opzo.sim.fast.core import FastCore
        from opzo.sim.model_transport import ModelTransport

        return ModelTransport(FastCore(limits))
    from opzo.sim.rtl.transport import RtlTransport

    return RtlTransport(limits)
