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

from opzo.host.driver.transport import Connection, Transport
from opzo.spec.commands import NAK, REPLY, Command, NakReason, RunFlag, Status
from opzo.spec.errors import LinkError, OpzoError
from opzo.spec.frames import OVERHEAD, Frame, Unescape
from opzo.spec.protocol import MAGIC, REPLAY, VERSION, Identity

logger = logging.getLogger(__name__)

MEMORY_ADDRESS = struct.Struct("<BI")
"""Place of a block of a memory: space, row."""

ATTEMPTS = 8
"""Times in a row that unanswered frames are sent into silence before the link gives up."""
NOISY_ATTEMPTS = 64
"""Times that they are sent where the line damages the answers."""
DAMAGE_PAUSE = 0.05
"""Seconds of silence after a damaged frame until what is unanswered is sent again."""
PATIENCE_GROWTH = 1.25
"""How much longer each of them is waited for than the one before."""
CHATTER = 10
"""Times its patience that the link listens to bytes without an answer among them."""
GO_BACKS = 100
"""Times in a row that the device may ask for the same frames."""
SYNC_ATTEMPTS = 6
SYNC_PATIENCE = 0.5
REOPEN_ATTEMPTS = 20
NOISE_COUNT, NOISE_SHARE = 16, 0.01
"""Damaged frames, and their share of all, from which on the user is warned."""
REOPEN_PAUSE = 0.5
"""Seconds between attempts to open a broken transport again; a USB port comes back within a few."""


class Exchange:
    """One frame that was sent, and its reply once that is there.

    Each of ``payloads`` but the first is shorter than the one before and stands in for it when it is sent again.
    """

    def __init__(self, seq: int, command: Command, *payloads: bytes) -> None:
        self.seq, self.command = seq, command
        self._payloads = payloads
        self.wire = Frame(seq, command, payloads[0]).encode()
        self.shortened = 0
        """Index of the payload that was sent last."""
        self.reply: bytes | None = None
        """Payload of the reply, status included."""

    def shorten(self) -> None:
        """Take the next payload, where there is one."""
        if self.shortened + 1 < len(self._payloads):
            self.shortened += 1
            self.wire = Frame(self.seq, self.command, self._payloads[self.shortened]).encode()

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
        Frames that were sent again, because they or their replies were lost or damaged.
    frames, damaged : int
        Frames sent and received, and how many of them the line damaged.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._transport: Transport = connection.open()
        self._unescape = Unescape()
        self._unanswered: deque[Exchange] = deque()
        """In order of seq; the first is always unanswered, later ones may be answered already."""
        self._asked = self._stale_naks = 0
        """Frame that a NAK made the link go back to, and answers still to come to frames sent behind it before that."""
        self._go_backs = self._silences = self._noises = 0
        """Times in a row that the device asked again, was silent, and that damaged frames came from it."""
        self._damage_heard = self._warned = False
        """Since frames were last sent; and whether the user knows of the noise."""
        self.bytes_sent = self.repeats = self.frames = self.damaged = 0
        self._seq = secrets.randbelow(256)
        try:
            self.identity = self._synchronize(secrets.randbits(32))
        except BaseException:
            self._transport.close()
            raise

    def close(self) -> None:
        """Release the device."""
        self._transport.close()

    def expect_damage(self) -> None:
        """Do not warn of a noisy line from now on: bytes are damaged on purpose."""
        self._warned = True

    def renew(self) -> None:
        """Begin another session on the same transport, over which others have sent frames of their own."""
        self._unescape = Unescape()
        self._asked = self._stale_naks = self._go_backs = self._silences = self._noises = 0
        self.identity = self._synchronize(secrets.randbits(32))

    def call(self, command: Command, *payloads: bytes) -> bytes:
        """Run one command alone, after all runs are answered; the data of its reply. Payloads as those of ``start``."""
        return self.finish(self.start(command, *payloads))

    def start(self, command: Command, *payloads: bytes) -> Exchange:
        """Send one command, after all runs are answered.

        ``payloads`` after the first stand in for it, one after the other, each time that the line damages frame or
        reply. Each must ask for a part of what the one before asks for, because that may have been done.
        """
        self._await(lambda: not self._unanswered)
        return self._send(command, *payloads or (b"",))

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

    def _send(self, command: Command, *payloads: bytes) -> Exchange:
        # The device keeps the replies of its last REPLAY frames; an older one could not be asked for again.
        self._await(lambda: len(self._unanswered) < REPLAY)
        exchange = Exchange(self._seq, command, *payloads)
        self._seq = (self._seq + 1) % 256
        self._unanswered.append(exchange)
        self._write([exchange])
        return exchange

    def _await(self, done: Callable[[], bool]) -> None:
        """Take frames from the device until ``done``; send again what it lost."""
        since = heard = time.monotonic()
        while not done():
            patience = self._connection.patience * PATIENCE_GROWTH**self._silences
            # Once a damaged frame has passed, the answer will not come.
            pause = min(patience, DAMAGE_PAUSE) if self._damage_heard else patience
            deadline = min(heard + pause, since + CHATTER * patience)
            data = self._read(max(0.0, deadline - time.monotonic()))
            now = time.monotonic()
            if data:
                heard = now
            # All frames are taken, also behind an answer.
            if any([self._take(frame) for frame in self._frames(data)]):
                since, self._go_backs, self._silences, self._noises = now, 0, 0, 0
            elif now >= deadline:
                self._give_up_or_count()
                logger.debug("no answer to frame %d; sending again", self._unanswered[0].seq)
                self._stale_naks = 0
                self._repeat([exchange for exchange in self._unanswered if exchange.reply is None])
                since = heard = time.monotonic()

    def _give_up_or_count(self) -> None:
        """Count a time that no answer came; LinkError where there were too many."""
        if self._damage_heard:
            self._noises, self._silences = self._noises + 1, 0
        else:
            self._silences += 1
        if self._noises == NOISY_ATTEMPTS:
            raise LinkError(f"{self._noise}; {self._connection.name} gets no answer through; check cable and baud rate")
        if self._silences == ATTEMPTS:
            before = f" ({self._noise} before)" if self.damaged else ""
            raise LinkError(f"{self._connection.name} has stopped answering{before}; check cable and power")

    @property
    def _noise(self) -> str:
        return f"noisy line: {self.damaged:,} of {self.frames:,} frames damaged"

    def _count_damaged(self) -> None:
        self.damaged += 1
        if not self._warned and self.damaged >= max(NOISE_COUNT, NOISE_SHARE * self.frames):
            self._warned = True
            logger.warning("%s; they are sent again, nothing is lost; check cable and baud rate", self._noise)

    def _frames(self, data: bytes) -> Iterator[Frame]:
        """Whole frames that end in ``data``; damaged ones are dropped, the device or the clock asks again."""
        for body in self._unescape.feed(data):
            frame = None if body is None else Frame.decode(body)
            self.frames += 1
            if frame is not None:
                yield frame
            else:
                self._damage_heard = True
                self._count_damaged()
                logger.debug("dropped a damaged frame from the device: %d bytes", len(body or b""))

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
        if reason == NakReason.MALFORMED:
            self._count_damaged()
        again = [e for e in self._unanswered if e.reply is None and (e.seq - expected) % 256 < REPLAY]
        if reason == NakReason.ORDER and self._stale_naks:
            self._stale_naks -= 1
        elif again:
            self._go_backs += 1
            if self._go_backs > GO_BACKS:
                name = self._connection.name
                raise LinkError(f"{self._noise}; {name} does not get a frame whole; check cable and baud rate")
            logger.debug("device asks again from frame %d (NAK %d)", expected, reason)
            self._asked, self._stale_naks = expected, len(again) - 1
            self._repeat(again)

    def _repeat(self, exchanges: list[Exchange]) -> None:
        self.repeats += len(exchanges)
        for exchange in exchanges:
            exchange.shorten()
        self._write(exchanges)

    def _write(self, exchanges: list[Exchange]) -> None:
        self._damage_heard = False
        self.frames += len(exchanges)
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
            identity = Identity.unpack(reply[1:])
        except struct.error:
            size = Identity.STRUCT.size
            raise OpzoError(
                f"{self._connection.name} sent an identity of {len(reply) - 1} bytes instead of {size}; reprogram it"
            ) from None
        try:
            row = 2 * identity.limits.lanes
        except OpzoError as error:
            raise OpzoError(
                f"{self._connection.name} describes itself as it cannot be ({error}); reprogram it"
            ) from None
        if not identity.credits or identity.max_payload < MEMORY_ADDRESS.size + row:
            raise OpzoError(
                f"{self._connection.name} describes itself as it cannot be ({identity.credits} credits, payloads of up "
                f"to {identity.max_payload} bytes); reprogram it"
            )
        return identity
