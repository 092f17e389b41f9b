"""The ``serial`` device: a board's serial port as a byte transport."""

import errno
import select
import termios

import serial

from opzo.spec.errors import OpzoError
from opzo.spec.messages import shown

DEFAULT_BAUD = 1_000_000
WRITE_TIMEOUT = 10.0
"""Default time in seconds in which the operating system must accept one frame."""


class SerialTransport:
    """A serial port with exclusive access. Raises OpzoError where the port is absent or busy."""

    def __init__(self, port: str, baud: int = DEFAULT_BAUD, write_timeout: float = WRITE_TIMEOUT) -> None:
        try:
            # timeout=0: waiting is done by select, because changing pyserial's timeout configures the port again.
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
        # Read the first byte without checking in_waiting: an unplugged port is ready, reports 0 and then fails.
        first: bytes = self._serial.read(1)
        rest: bytes = self._serial.read(self._serial.in_waiting)
        return first + rest

    def close(self) -> None:
        self._serial.close()


def open_serial(address: str) -> SerialTransport:
    """Serial port of an address, ``PORT`` or ``PORT@BAUD``."""
    return SerialTransport(*_split_baud(address))


def no_permission(port: str) -> str:
    """What to do without permission to open a port."""
    return f"no permission to open {port}; add yourself to its group (often: sudo usermod -aG dialout $USER)"


def _explain(port: str, baud: int, error: Exception) -> str:
    """Why a port did not open, and what to do, in one sentence."""
    number = getattr(error, "errno", None)
    if number in (errno.ENOENT, errno.ENXIO, errno.ENODEV):
        return f"no device at {port}; is the board plugged in?"
    if number == errno.EACCES:
        return no_permission(port)
    if number in (errno.EBUSY, errno.EAGAIN) or "exclusively lock" in str(error):
        return f"{port} is busy; close the other program that uses it"
    return f"{port} cannot be used as a serial port at {baud} baud ({error}); choose another port"


def _split_baud(text: str) -> tuple[str, int]:
    port, at, baud = text.rpartition("@")
    if not at:
        return text, DEFAULT_BAUD
    if not (baud.isascii() and baud.isdigit() and len(baud) < 10 and int(baud)):
        raise OpzoError(f"{shown(baud)} is not a baud rate; write serial:{port}@{DEFAULT_BAUD}")
    return port, int(baud)
