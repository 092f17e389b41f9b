"""The link: commands to a device as framed, numbered, repeatable exchanges over a byte transport.

``opzo.spec.protocol`` is the law. This side keeps every unanswered frame, sends it again on NAK or silence (go back N;
the device never executes a sample twice), and survives a transport that breaks and can be opened again.
"""

import logging
import secrets
import struct
import time
from collections import deque
from collections.abc import Callable, Iterator

from opzo.host.transport import Connection, Transport
from opzo.spec.errors import LinkError, OpzoError
from opzo.spec.protocol import (
    MAGIC,
    NAK,
    OVERHEAD,
    REPLAY,
    REPLY,
    VERSION,
    Command,
    Frame,
    Identity,
    NakReason,
    RunFlag,
    Status,
    Unescape,
)

logger = logging.getLogger(__name__)

ATTEMPTS = 8
"""Times that unanswered frames are sent into silence before the link gives up."""
PATIENCE_GROWTH = 1.25
"""How much longer each of them is waited for than the one before."""
CHATTER = 10
"""Times its patience that the link listens to bytes without an answer among them."""
GO_BACKS = 100
"""Times in a row that the device may ask for the same frames."""
SYNC_ATTEMPTS = 6
SYNC_PATIENCE = 0.5
REOPEN_ATTEMPTS = 20
REOPEN_PAUSE = 0.5
"""Seconds between attempts to open a broken transport again; a USB port comes back within a few."""


class Exchange:
    """One frame that was sent, and its reply once that is there."""

    def __init__(self, seq: int, command: Command, payload: bytes) -> None:
        self.seq, self.command = seq, command
        self.wire = Frame(seq, command, payload).encode()
        self.reply: bytes | None = None
        """Payload of the reply, status included."""

    @property
    def data(self) -> bytes:
        """Payload of the reply after its status; LinkError where the device refused."""
        if not self.reply:
            raise LinkError(f"the device answered {self.command.name} without a status")
        if self.reply[0] != Status.OK:
            known = self.reply[0] in Status._value2member_map_
            status = Status(self.reply[0]).name if known else f"status {self.reply[0]}"
            raise LinkError(f"the device refused {self.command.name}: {status}")
        return self.reply[1:]


class Link:
    """One session with a device.

    Raises OpzoError where nothing answers, or something that is no opzo device of this protocol version.

    Attributes
    ----------
    identity : Identity
        What the device said of itself.
    bytes_sent : int
        Bytes of the frames of all runs, without escapes and repetitions.
    repeats : int
        Frames that were sent again, because they or their replies were lost or spoilt.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._transport: Transport = connection.open()
        self._unescape = Unescape()
        self._unanswered: deque[Exchange] = deque()
        """In order of seq; the first is always unanswered, later ones may be answered already."""
        self._asked = self._stale_naks = 0
        """Frame that a NAK made the link go back to, and answers still to come to frames sent behind it before that."""
        self._go_backs = 0
        self.bytes_sent = self.repeats = 0
        self._seq = secrets.randbelow(256)
        try:
            self.identity = self._synchronize(secrets.randbits(32))
        except BaseException:
            self._transport.close()
            raise

    def close(self) -> None:
        """Release the device."""
        self._transport.close()

    def call(self, command: Command, payload: bytes = b"") -> bytes:
        """Run one command alone, after all runs are answered; the data of its reply."""
        self._await(lambda: not self._unanswered)
        exchange = self._send(command, payload)
        self._await(lambda: exchange.reply is not None)
        return exchange.data

    def start_run(self, flags: RunFlag, label: int, payload: bytes) -> Exchange:
        """Send a run as EVENTS and RUN frames as soon as the device has a buffer free; its RUN, unanswered."""
        self._await(lambda: self._running() < self.identity.credits)
        # Even, so that no pair is cut.
        room = self.identity.max_payload & ~1
        head = max(0, len(payload) - (room - 2)) + 1 & ~1
        for start in range(0, head, room):
            self._send(Command.EVENTS, payload[start : min(start + room, head)])
        frames = 1 + -(-head // room)
        self.bytes_sent += len(payload) + 2 + frames * (OVERHEAD + 2)
        return self._send(Command.RUN, bytes((flags, label)) + payload[head:])

    def finish(self, exchange: Exchange) -> bytes:
        """Wait for the reply to ``exchange``; its data."""
        self._await(lambda: exchange.reply is not None)
        return exchange.data

    def _running(self) -> int:
        return sum(e.command is Command.RUN and e.reply is None for e in self._unanswered)

    def _send(self, command: Command, payload: bytes) -> Exchange:
        # The device keeps the replies of its last REPLAY frames; an older one could not be asked for again.
        self._await(lambda: len(self._unanswered) < REPLAY)
        exchange = Exchange(self._seq, command, payload)
        self._seq = (self._seq + 1) % 256
        self._unanswered.append(exchange)
        self._write([exchange])
        return exchange

    def _await(self, done: Callable[[], bool]) -> None:
        """Take frames from the device until ``done``; send again what it lost."""
        patience = self._connection.patience
        attempts = 1
        since = heard = time.monotonic()
        while not done():
            deadline = min(heard + patience, since + CHATTER * patience)
            data = self._read(max(0.0, deadline - time.monotonic()))
            now = time.monotonic()
            if data:
                heard = now
            # All frames are taken, also behind an answer.
            if any([self._take(frame) for frame in self._frames(data)]):
                attempts, patience, since, self._go_backs = 1, self._connection.patience, now, 0
            elif now >= deadline:
                if attempts == ATTEMPTS:
                    raise LinkError(f"{self._connection.name} has stopped answering; check cable and power")
                attempts, patience = attempts + 1, patience * PATIENCE_GROWTH
                logger.debug("no answer to frame %d; sending again", self._unanswered[0].seq)
                self._stale_naks = 0
                self._repeat([exchange for exchange in self._unanswered if exchange.reply is None])
                since = heard = time.monotonic()

    def _frames(self, data: bytes) -> Iterator[Frame]:
        """Whole frames that end in ``data``; spoilt ones are dropped, the device or the clock asks again."""
        for body in self._unescape.feed(data):
            frame = None if body is None else Frame.decode(body)
            if frame is not None:
                yield frame
            else:
                logger.debug("dropped a spoilt frame from the device: %d bytes", len(body or b""))

    def _take(self, frame: Frame) -> bool:
        """Work on one frame of the device; whether it was an awaited reply."""
        if frame.code == NAK and len(frame.data) == 2:
            self._go_back(*frame.data)
            return False
        for exchange in self._unanswered:
            if exchange.seq == frame.seq and frame.code == exchange.command | REPLY and exchange.reply is None:
                exchange.reply = frame.data
                if (exchange.seq - self._asked) % 256 < REPLAY:
                    self._stale_naks = 0
                while self._unanswered and self._unanswered[0].reply is not None:
                    self._unanswered.popleft()
                return True
        return False

    def _go_back(self, reason: int, expected: int) -> None:
        """Send again from ``expected`` on."""
        if reason == NakReason.NO_SESSION:
            raise LinkError(
                f"{self._connection.name} has lost its session (it was reset, lost power, or another program took it); "
                "what it held is gone and training resumes from the checkpoint"
            )
        again = [e for e in self._unanswered if e.reply is None and (e.seq - expected) % 256 < REPLAY]
        if reason == NakReason.ORDER and self._stale_naks:
            self._stale_naks -= 1
        elif again:
            self._go_backs += 1
            if self._go_backs > GO_BACKS:
                raise LinkError(f"{self._connection.name} does not get a frame whole; check cable and baud rate")
            logger.debug("device asks again from frame %d (NAK %d)", expected, reason)
            self._asked, self._stale_naks = expected, len(again) - 1
            self._repeat(again)

    def _repeat(self, exchanges: list[Exchange]) -> None:
        self.repeats += len(exchanges)
        self._write(exchanges)

    def _write(self, exchanges: list[Exchange]) -> None:
        try:
            self._transport.write(b"".join(exchange.wire for exchange in exchanges))
        except OSError as error:
            self._reopen(error)

    def _read(self, timeout: float) -> bytes:
        try:
            return self._transport.read(timeout)
        except OSError as error:
            self._reopen(error)
            return b""

    def _reopen(self, cause: OSError) -> None:
        """Open the broken transport again and send what is unanswered, within the same session."""
        self._transport.close()
        if not self._connection.reopens:
            raise LinkError(f"{self._connection.name} broke: {cause}") from cause
        logger.warning("%s broke (%s); opening it again", self._connection.name, cause)
        for _ in range(REOPEN_ATTEMPTS):
            time.sleep(REOPEN_PAUSE)
            try:
                self._transport = self._connection.open()
                self._unescape = Unescape()
                self._stale_naks = 0
                self._transport.write(b"".join(e.wire for e in self._unanswered if e.reply is None))
            except (OSError, OpzoError) as error:
                logger.debug("not yet: %s", error)
            else:
                return
        raise LinkError(f"{self._connection.name} broke ({cause}) and did not come back; check cable and power")

    def _synchronize(self, nonce: int) -> Identity:
        """Start a session and check who answers."""
        sync = Exchange(self._seq, Command.SYNC, struct.pack("<I", nonce))
        self._seq = (self._seq + 1) % 256
        heard = False
        patience = max(SYNC_PATIENCE, self._connection.patience if not self._connection.reopens else 0.0)
        for _ in range(SYNC_ATTEMPTS):
            deadline = time.monotonic() + patience
            try:
                self._transport.write(sync.wire)
                while (left := deadline - time.monotonic()) > 0:
                    data = self._transport.read(left)
                    heard |= bool(data)
                    for frame in self._frames(data):
                        if frame.seq == sync.seq and frame.code == Command.SYNC | REPLY:
                            return self._check(frame.data)
            except OSError as error:
                raise OpzoError(f"{self._connection.name} does not work: {error}; is the board plugged in?") from error
        what = "answers, but not as an opzo device" if heard else "does not answer"
        raise OpzoError(f"{self._connection.name} {what}; is the board programmed, and is the baud rate right?")

    def _check(self, reply: bytes) -> Identity:
        """Identity of a reply to SYNC; OpzoError for another kind or version of device."""
        magic, version = struct.unpack_from("<IH", reply.ljust(7, b"\0"), 1)
        if magic != MAGIC:
            raise OpzoError(f"{self._connection.name} is not an opzo device: it calls itself {magic:#010x}")
        if version != VERSION:
            raise OpzoError(
                f"{self._connection.name} speaks protocol version {version}, this opzo {VERSION}; "
                "program the device and install opzo from the same release"
            )
        try:
            return Identity.unpack(reply[1:])
        except struct.error:
            size = Identity.STRUCT.size
            raise OpzoError(
                f"{self._connection.name} sent an identity of {len(reply) - 1} bytes instead of {size}; reprogram it"
            ) from None
