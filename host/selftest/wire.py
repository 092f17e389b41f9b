"""Valid and invalid frames, sent byte by byte to a device and to the golden model, with their replies compared."""

import time
from dataclasses import dataclass, field

from opzo.host.driver.transport import Transport
from opzo.host.selftest.mismatch import MismatchError
from opzo.spec.commands import NAK, REPLY, Command
from opzo.spec.errors import LinkError
from opzo.spec.frames import HEADER, Frame, Unescape

SILENCE = 2.0
"""Seconds without a byte after which an expected reply counts as missing."""
EXTRA = 0.05
"""Seconds to wait for unsolicited data at the end."""
CHATTER = 10
"""Multiple of these times for which bytes are read that make no frame."""
SHOWN_BYTES = 8


@dataclass
class Wire:
    """Sends the same bytes to two devices.

    Attributes
    ----------
    device : Transport
        Device under test.
    golden : Transport
        Reference, which answers immediately.
    seq : int
        Sequence number of the next frame in order.
    sent : int
        Frames sent so far.
    """

    device: Transport
    golden: Transport
    seq: int = 0
    sent: int = 0
    _unescape: Unescape = field(default_factory=Unescape)

    def call(self, what: str, command: int, data: bytes = b"", *, times: int = 1) -> None:
        """Send the next frame in sequence, ``times`` times, and advance the sequence number."""
        frame = Frame(self.seq, command, data).encode()
        for number in range(times):
            self.send(what if number == 0 else f"{what}, repeated", frame)
        self.seq = (self.seq + 1) % 256

    def send(self, what: str, data: bytes) -> None:
        """Send bytes to both and compare their replies; MismatchError names ``what``."""
        self.sent += 1
        self.golden.write(data)
        expected = Unescape().feed(self.golden.read(0.0))
        self.device.write(data)
        # Unsolicited data would precede the next reply.
        actual = self._receive(len(expected), SILENCE) if expected else []
        for number in range(max(len(actual), len(expected))):
            want, got = ((bodies[number] if number < len(bodies) else b"") for bodies in (expected, actual))
            if want != got:
                first = _first_difference(want or b"", got or b"")
                raise MismatchError(f"reply to {what}", _describe(want, first), _describe(got, first))

    def finish(self) -> None:
        """Raise MismatchError for unsolicited data."""
        if extra := self._receive(0, EXTRA):
            raise MismatchError("after the last reply", "nothing", _describe(extra[0], 0))

    def _receive(self, count: int, wait: float) -> list[bytes | None]:
        """Receive ``count`` or more unescaped frames, or those that nobody asked for where it is 0.

        Fewer if the device is silent for ``wait`` seconds, or sends bytes without a frame for CHATTER times as long.
        """
        bodies: list[bytes | None] = []
        heard = progress = time.monotonic()
        while len(bodies) < max(1, count):
            try:
                data = self.device.read(max(0.0, heard + wait - time.monotonic()))
            except OSError as error:
                raise LinkError(f"the device broke: {error}") from error
            now = time.monotonic()
            if data:
                heard = now
            if found := self._unescape.feed(data):
                bodies, progress = bodies + found, now
            elif now >= progress + CHATTER * wait or (not data and (count == 0 or now >= heard + wait)):
                break
        return bodies


def _first_difference(one: bytes, other: bytes) -> int:
    """Index of the first payload byte that differs between two frames."""
    pairs = zip(one, other, strict=False)
    same = next((number for number, (a, b) in enumerate(pairs) if a != b), min(len(one), len(other)))
    return max(0, same - HEADER.size)


def _describe(body: bytes | None, first: int) -> str:
    """Text for a frame, with its payload from byte ``first``; an empty one is nothing."""
    if body == b"":
        return "nothing"
    frame = None if body is None else Frame.decode(body)
    if body is None or frame is None:
        return f"a damaged frame of {len(body or b'')} bytes"
    if frame.code == NAK and len(frame.data) == 2:
        return f"NAK, reason {frame.data[0]}, expected {frame.data[1]}"
    code = frame.code & ~REPLY
    name = Command(code).name if code in Command._value2member_map_ else f"code 0x{code:02x}"
    shown = frame.data[first : first + SHOWN_BYTES].hex(" ") + " ..." * (len(frame.data) > first + SHOWN_BYTES)
    return f"seq {frame.seq}, {name}, {len(frame.data)} bytes, from byte {first} on {shown}"
