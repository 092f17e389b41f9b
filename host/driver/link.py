"""The link: commands to a device as framed, numbered, repeatable requests over a byte transport.

``opzo.spec.protocol`` defines the protocol. The link keeps every unanswered frame and sends it again after a NAK or
silence (go back N; the device never executes a sample twice). It survives a transport that breaks and can be reopened.
"""

import logging
import secrets
import time
from collections import deque
from collections.abc import Callable, Iterator

from opzo.host.driver.line_quality import LineQuality
from opzo.host.driver.request import Request
from opzo.host.driver.session import Sync, read_identity
from opzo.host.driver.transport import Connection, Transport
from opzo.spec.commands import NAK, REPLY, REQUESTS, RUN_COMMANDS, Command, NakReason, RunFlag
from opzo.spec.errors import LinkError, OpzoError
from opzo.spec.frames import OVERHEAD, Frame, Unescape
from opzo.spec.protocol import REPLAY, Identity

logger = logging.getLogger(__name__)

ATTEMPTS = 8
"""Times in a row that unanswered frames are sent without hearing anything before the link gives up."""
NOISY_ATTEMPTS = 64
"""Times in a row that they are sent while the line damages the replies."""
DAMAGE_PAUSE = 0.05
"""Seconds of silence after a damaged frame before unanswered frames are sent again."""
PATIENCE_GROWTH = 1.25
"""Factor by which the wait for a reply grows with each repetition."""
CHATTER = 10
"""Multiple of its patience for which the link reads bytes that contain no reply."""
MOST_READS = 64
"""Reads in a row before frames that the device asks for are sent again."""
GO_BACKS = 100
"""Times in a row that the device may ask for the same frames."""
SYNC_ATTEMPTS = 6
SYNC_PATIENCE = 0.5
"""Seconds that each attempt to start a session waits for the reply."""
REOPEN_ATTEMPTS = 20
REOPEN_PAUSE = 0.5
"""Seconds between attempts to reopen a broken transport; a USB port returns within a few."""


class Link:
    """One session with a device.

    Raises OpzoError where nothing answers, or what answers is not an opzo device of this protocol version.

    Attributes
    ----------
    identity : Identity
        Identity of the device.
    bytes_sent : int
        Bytes of the frames of all runs, without escapes and repetitions.
    repeats : int
        Frames that were sent again, because they or their replies were lost or damaged.
    quality : LineQuality
        Frames and how many of them the line damaged.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._transport: Transport = connection.open()
        self._unescape = Unescape()
        self._unanswered: deque[Request] = deque()
        """In order of seq; the first is unanswered, later ones may be answered already."""
        self._resent_from = self._stale_naks = 0
        """Frame that the last NAK asked for, and NAKs still to come for frames sent after it before the repetition."""
        self._go_backs = self._silences = self._noises = 0
        """Times in a row that the device asked again, was silent, and sent damaged frames."""
        self._asked_from: int | None = None
        """Frame that the device has asked for, until it is sent again."""
        self._naks = 0
        """NAKs that have asked for it."""
        self._damage_heard = False
        """Whether a damaged frame has arrived since frames were last sent."""
        self.quality = LineQuality()
        self.bytes_sent = self.repeats = 0
        self._seq = secrets.randbelow(256)
        try:
            self.identity = self._synchronize()
        except BaseException:
            self._transport.close()
            raise

    def close(self) -> None:
        """Release the device."""
        self._transport.close()

    def expect_damage(self) -> None:
        """Do not warn of a noisy line from now on: bytes are damaged on purpose."""
        self.quality.silence()

    def renew(self) -> None:
        """Start another session on the same transport, over which others have sent frames of their own."""
        self._unescape = Unescape()
        self._resent_from = self._stale_naks = self._go_backs = self._silences = self._noises = 0
        self.identity = self._synchronize()

    def call(self, command: Command, *payloads: bytes) -> bytes:
        """Run one command after all runs are answered; data of its reply. Payloads as for `start`."""
        return self.finish(self.start(command, *payloads))

    def start(self, command: Command, *payloads: bytes) -> Request:
        """Send one command, after all runs are answered.

        Each of ``payloads`` replaces the one before when the line has damaged the frame or its reply. It must ask for a
        part of what the one before asked for, because the device may already have done that.
        """
        self._await(lambda: not self._unanswered)
        return self._send(command, *payloads or (b"",))

    def start_run(self, flags: RunFlag, label: int, payload: bytes) -> Request:
        """Send a run as EVENTS and RUN frames once the device has a free buffer; the request of its RUN frame."""
        self._await(lambda: self._running() < self.identity.credits)
        # Even, so that no pair of bytes is split.
        room = self.identity.max_payload & ~1
        head = max(0, len(payload) - (room - 2)) + 1 & ~1
        for start in range(0, head, room):
            self._send(Command.EVENTS, payload[start : min(start + room, head)])
        frames = 1 + -(-head // room)
        self.bytes_sent += len(payload) + 2 + frames * (OVERHEAD + 2)
        return self._send(Command.RUN, REQUESTS[Command.RUN].pack(flags, label) + payload[head:])

    def start_stored(self, payload: bytes) -> Request:
        """Send a RUN_STORED once the device has room for another block."""
        self._await(lambda: self._running() < self.identity.credits)
        self.bytes_sent += len(payload) + OVERHEAD + 2
        return self._send(Command.RUN_STORED, payload)

    def start_write(self, *payloads: bytes) -> Request:
        """Send a WRITE_STORE after all runs are answered; others may be under way. Payloads as for `start`."""
        self._await(lambda: all(request.command is Command.WRITE_STORE for request in self._unanswered))
        return self._send(Command.WRITE_STORE, *payloads)

    def finish(self, request: Request) -> bytes:
        """Wait for the reply to ``request``; its data."""
        self._await(lambda: request.reply is not None)
        return request.data

    def _running(self) -> int:
        return sum(e.command in RUN_COMMANDS and e.reply is None for e in self._unanswered)

    def _send(self, command: Command, *payloads: bytes) -> Request:
        # The device keeps the replies of its last REPLAY frames; an older one could not be asked for again.
        if len(self._unanswered) >= REPLAY:
            self._await(lambda: len(self._unanswered) < REPLAY)
        request = Request(self._seq, command, *payloads)
        self._seq = (self._seq + 1) % 256
        self._unanswered.append(request)
        self._write([request])
        return request

    def _await(self, done: Callable[[], bool]) -> None:
        """Receive frames until ``done``; send again what was lost."""
        if done():
            return
        since = heard = time.monotonic()
        while not done():
            patience = self._connection.patience * PATIENCE_GROWTH**self._silences
            # A damaged frame may have been the reply, which then does not come.
            pause = min(patience, DAMAGE_PAUSE) if self._damage_heard else patience
            deadline = min(heard + pause, since + CHATTER * patience)
            arrived, taken = self._receive(max(0.0, deadline - time.monotonic()))
            now = time.monotonic()
            if arrived:
                heard = now
            if taken:
                since, self._go_backs, self._silences, self._noises = now, 0, 0, 0
            # Where this process was held up, what it waited for may have arrived in time.
            elif not arrived or now >= since + CHATTER * patience:
                self._give_up_or_count()
                logger.debug("no reply to frame %d; sending it again", self._unanswered[0].seq)
                self._stale_naks = 0
                self._repeat([request for request in self._unanswered if request.reply is None])
                since = heard = time.monotonic()

    def _receive(self, timeout: float) -> tuple[bool, bool]:
        """Read and handle what arrives: whether anything did, and whether a reply that the link waits for was in it."""
        arrived = taken = False
        for _ in range(MOST_READS):
            data = self._read(0.0 if arrived else timeout)
            arrived |= bool(data)
            # A list, so that every frame is received, also those after a reply.
            taken |= any([self._take(frame) for frame in self._frames(data)])
            # Before frames are sent again, all that has arrived is read: it may have a later request, or their replies.
            if not data or self._asked_from is None:
                break
        if self._asked_from is not None:
            self._go_back(self._asked_from)
            self._asked_from, self._naks = None, 0
        return arrived, taken

    def _give_up_or_count(self) -> None:
        """Count a wait without a reply; LinkError after too many."""
        if self._damage_heard:
            self._noises, self._silences = self._noises + 1, 0
        else:
            self._silences += 1
        if self._noises == NOISY_ATTEMPTS:
            raise LinkError(
                f"{self.quality}; {self._connection.name} gets no intact reply through; check cable and baud rate"
            )
        if self._silences == ATTEMPTS:
            before = f" ({self.quality} before)" if self.quality.damaged else ""
            raise LinkError(f"{self._connection.name} has stopped answering{before}; check cable and power")

    def _frames(self, data: bytes) -> Iterator[Frame]:
        """Valid frames that end in ``data``; damaged ones are dropped and repeated after a NAK or a timeout."""
        for body in self._unescape.feed(data):
            frame = None if body is None else Frame.decode(body)
            self.quality.frames += 1
            if frame is not None:
                yield frame
            else:
                self._damage_heard = True
                self.quality.count_damaged()
                logger.debug("dropped a damaged frame from the device: %d bytes", len(body or b""))

    def _take(self, frame: Frame) -> bool:
        """Handle one frame of the device; whether it was a reply that the link waits for."""
        if frame.code == NAK and len(frame.data) == 2:
            self._asked(*frame.data)
            return False
        for request in self._unanswered:
            if request.seq == frame.seq and frame.code == request.command | REPLY and request.reply is None:
                request.reply = frame.data
                if (request.seq - self._resent_from) % 256 < REPLAY:
                    self._stale_naks = 0
                while self._unanswered and self._unanswered[0].reply is not None:
                    self._unanswered.popleft()
                return True
        return False

    def _asked(self, reason: int, expected: int) -> None:
        """Handle a NAK: the device asks for frames from ``expected`` on."""
        if reason == NakReason.NO_SESSION:
            raise LinkError(
                f"{self._connection.name} has lost its session (it was reset, lost power, or another program took it); "
                "its memory is lost; training resumes from the checkpoint"
            )
        if reason == NakReason.MALFORMED:
            self.quality.count_damaged()
            # It answers. The number of times in a row that it may ask for the same frames is bounded by itself.
            self._silences = 0
        if reason == NakReason.ORDER and self._stale_naks:
            self._stale_naks -= 1
        else:
            self._asked_from = expected
            self._naks += 1

    def _go_back(self, expected: int) -> None:
        """Send again from ``expected`` on, if anything there is unanswered."""
        again = [e for e in self._unanswered if e.reply is None and (e.seq - expected) % 256 < REPLAY]
        if again:
            self._go_backs += 1
            if self._go_backs > GO_BACKS:
                raise LinkError(
                    f"{self.quality}; {self._connection.name} receives only damaged frames; check cable and baud rate"
                )
            logger.debug("device asks again from frame %d", expected)
            self._resent_from, self._stale_naks = expected, max(0, len(again) - self._naks)
            self._repeat(again)

    def _repeat(self, requests: list[Request]) -> None:
        self.repeats += len(requests)
        for request in requests:
            request.shorten()
        self._write(requests)

    def _write(self, requests: list[Request]) -> None:
        self._damage_heard = False
        self.quality.frames += len(requests)
        try:
            self._transport.write(b"".join(request.wire for request in requests))
        except OSError as error:
            self._reopen(error)

    def _read(self, timeout: float) -> bytes:
        try:
            return self._transport.read(timeout)
        except OSError as error:
            self._reopen(error)
            return b""

    def _reopen(self, cause: OSError) -> None:
        """Reopen the broken transport and send the unanswered frames, within the same session."""
        self._transport.close()
        if not self._connection.reopens:
            raise LinkError(f"{self._connection.name} broke: {cause}") from cause
        logger.warning("%s broke (%s); reopening it", self._connection.name, cause)
        for _ in range(REOPEN_ATTEMPTS):
            time.sleep(REOPEN_PAUSE)
            try:
                self._transport = self._connection.open()
                self._unescape = Unescape()
                self._stale_naks = 0
                again = [request for request in self._unanswered if request.reply is None]
                self._transport.write(b"".join(request.wire for request in again))
            except (OSError, OpzoError) as error:
                logger.debug("cannot reopen it yet: %s", error)
            else:
                self.repeats += len(again)
                self.quality.frames += len(again)
                return
        raise LinkError(f"{self._connection.name} broke ({cause}) and did not come back; check cable and power")

    def _synchronize(self) -> Identity:
        """Start a session; identity of the device, which is checked."""
        sync = Sync(self._seq)
        self._seq = (self._seq + 1) % 256
        name = self._connection.name
        patience = max(SYNC_PATIENCE, self._connection.patience if not self._connection.reopens else 0.0)
        for _ in range(SYNC_ATTEMPTS):
            try:
                reply = sync.send(self._transport, patience, self._frames)
            except OSError as error:
                raise OpzoError(f"{name} does not work: {error}; is the board plugged in?") from error
            if reply is not None:
                return read_identity(reply, name)
        what = "answers, but not as an opzo device" if sync.heard else "does not answer"
        raise OpzoError(f"{name} {what}; is the board programmed, and is the baud rate right?")
