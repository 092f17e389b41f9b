"""Readers of what a device sends, and of live records: the host's side of the link."""

import secrets
from collections.abc import Sequence
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np

from fuzzing.mutated import damaged
from fuzzing.reader import Read, Reader
from fuzzing.structured import either, in_frames
from opzo.host.driver.device import Device
from opzo.host.driver.link import Link
from opzo.host.driver.sample import Sample
from opzo.host.driver.session import read_identity
from opzo.host.driver.statistics import Tally, counter_array
from opzo.host.driver.transport import Connection, Transport
from opzo.host.selftest import wire
from opzo.host.selftest.mismatch import MismatchError
from opzo.host.stream.live_counts import LiveCounts
from opzo.host.stream.live_source import RECORD, RecordKind, TimeSteps
from opzo.sim.model_transport import golden
from opzo.spec.commands import REQUESTS, Command
from opzo.spec.errors import NetworkError
from opzo.spec.events import decode_frame_pairs, decode_steps, encode_events
from opzo.spec.frames import END, Frame, Unescape
from opzo.spec.network import Network
from opzo.spec.protocol import Identity
from opzo.spec.rules import Rule

Good = tuple[Sequence[bytes], Read]
NETWORK = Network("6-4-3", steps=2)
CONVOLUTION = Network("1x8x8-8c3-p2-10")
LIMITS = NETWORK.limits(4)
PATIENCE = 1e-6
"""Seconds: silence ends at once, so that the link sends again and gives up without waiting."""
SILENCES = 3
"""Reads without data before the line breaks."""


class Replies:
    """A line from which bytes arrive that were fixed before, a frame at each read; what is written is dropped."""

    def __init__(self, content: bytes) -> None:
        end = bytes([END])
        self._pieces = [end + piece + end for piece in content.split(end) if piece][::-1]
        self._silences = SILENCES

    def write(self, data: bytes) -> None:
        """Send nothing."""

    def read(self, timeout: float) -> bytes:
        """The next frame; OSError some reads after the last one."""
        if self._pieces:
            return self._pieces.pop()
        if not self._silences:
            raise OSError("the end of the input")
        self._silences -= 1
        return b""

    def close(self) -> None:
        """Do nothing."""


class Recorded:
    """A line to a golden device that keeps what the device sends."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self.received = b""

    def write(self, data: bytes) -> None:
        """Send ``data``."""
        self._transport.write(data)

    def read(self, timeout: float) -> bytes:
        """What has arrived."""
        data = self._transport.read(timeout)
        self.received += data
        return data

    def close(self) -> None:
        """Release the device."""
        self._transport.close()


def _device(transport: Transport) -> Device:
    return Device("a device", Link(Connection.over(transport, "a device", PATIENCE)))


def _memories(transport: Transport) -> None:
    """Configure a device and read all that it has."""
    with _device(transport) as device:
        device.configure(NETWORK, Rule.OPZO)
        device.read_samples()
        for layer in range(2):
            device.read_weights(layer)
        device.read_feedback(0)
        device.read_feedback_shifts()
        device.read_lfsr()
        device.read_membranes(0)
        device.read_histories(0)


def _training(transport: Transport) -> None:
    """Train on samples and make figures of the counters."""
    with _device(transport) as device:
        before = counter_array(device.counters())
        device.network = NETWORK
        samples = [Sample((encode_events([(label, 200), (5, 3)]),), label) for label in range(3)]
        tally = Tally()
        for label, result in enumerate(device.run(samples, train=True, outputs=True)):
            tally.add(result, label)
        tally.add_counters(before, counter_array(device.counters()))
        tally.figures(NETWORK, device.identity)
        device.reset()


def _session(work: Any) -> Any:
    """Reader of the replies in a session that does ``work``."""

    def prepare(folder: Path) -> Good:
        # A session begins with a number at random, and its replies have it. Each session has another nonce.
        nonces = count()
        secrets.randbelow = lambda exclusive_upper_bound: 0
        secrets.randbits = lambda k: next(nonces)
        recorded = Recorded(golden(LIMITS))
        if work is _training:
            device = _device(recorded)
            device.configure(NETWORK, Rule.OPZO)
            recorded.received = b""
        work(recorded)
        return [recorded.received], lambda content: work(Replies(content))

    return prepare


def _self_test(folder: Path) -> Good:
    """Replies that the self-test compares with those of the golden model; a difference is no finding."""
    wire.SILENCE = wire.EXTRA = PATIENCE
    sync = REQUESTS[Command.SYNC].pack(1)

    def work(device: Transport) -> None:
        test = wire.Wire(device, golden(LIMITS))
        with suppress(MismatchError):
            test.call("a session", Command.SYNC, sync)
            test.call("a read", Command.READ_REGISTERS, REQUESTS[Command.READ_REGISTERS].pack(0, 9), times=2)
            test.send("a damaged frame", Frame(9, Command.RESET).encode()[:-3] + bytes([END]))
            test.finish()

    recorded = Recorded(golden(LIMITS))
    work(recorded)
    return [recorded.received], lambda content: work(Replies(content))


def _identity(folder: Path) -> Good:
    """An identity, and what the host derives of it: does a network fit, how large are blocks of rows."""
    good = [Identity.of(LIMITS).pack(), Identity.of(CONVOLUTION.limits(8)).pack()]

    def read(content: bytes) -> None:
        identity = read_identity(content, "a device")
        for network in (NETWORK, CONVOLUTION):
            with suppress(NetworkError):
                network.layout(identity.limits)
        Tally().figures(NETWORK, identity)

    return good, read


def _frames(folder: Path) -> Good:
    """Frames in bytes that arrive in pieces: the same as in one piece, and each frame is sent as it came."""

    def read(content: bytes) -> None:
        bodies = Unescape().feed(content)
        size = 1 + len(content) % 64
        unescape = Unescape()
        pieces = [body for at in range(0, len(content), size) for body in unescape.feed(content[at : at + size])]
        if pieces != bodies:
            raise AssertionError("frames depend on how bytes are cut")
        for body in bodies:
            frame = Frame.decode(body) if body else None
            if frame is not None and Unescape().feed(frame.encode()) != [body]:
                raise AssertionError("a frame is not sent as it was received")

    return [b"".join(Frame(seq, 3 + seq, bytes(range(180, 180 + 9 * seq))).encode() for seq in range(5))], read


def _events(folder: Path) -> Good:
    """Codes of events: pairs of a frame, chunks of spikes, chunks of graded events."""

    def read(content: bytes) -> None:
        even = content[: len(content) & ~1]
        if even:
            decode_frame_pairs(even)
        decode_steps(content, graded=False)
        decode_steps(even, graded=True, position=len(content) - len(even))

    return [bytes((3, 0xE1, 5, 0xF0, 9, 0xFF, 0xEF, 1)), encode_events([(1, 2), (700, 255)])], read


def _records(folder: Path) -> Good:
    """Records of a live source, in two blocks."""
    rows = [(5, 3, 0, RecordKind.EVENT), (900, 2, 0, RecordKind.LABEL), (1500, 0, 1, RecordKind.LEARN)]
    rows += [(4000, 11, 7, RecordKind.EVENT), (2**32 - 5, 0, 0, RecordKind.TIME), (2, 4, 9, RecordKind.EVENT)]
    rows += [(9, 0, 0, RecordKind.RESET), (2000, 1, 1, RecordKind.EVENT), (2500, 0, 0, RecordKind.END)]

    def read(content: bytes) -> None:
        records = np.frombuffer(content[: len(content) // RECORD.itemsize * RECORD.itemsize], RECORD)
        graded = bool(len(content) & 1)
        steps = TimeSteps(12, 1000, "a source", counts=LiveCounts(most_bad=4), classes=3, max_gap=20, graded=graded)
        for part in np.array_split(records, 2):
            list(steps.feed(part))
        list(steps.finish())

    return [np.array(rows, RECORD).tobytes(), np.array(rows[:4], RECORD).tobytes()], read


FRAMES = either(damaged, in_frames, in_frames)
READERS = (
    Reader("memories", _session(_memories), 40_000, FRAMES),
    Reader("training", _session(_training), 60_000, FRAMES),
    Reader("self-test", _self_test, 5_000, FRAMES),
    Reader("identity", _identity, 120_000),
    Reader("frames", _frames, 338_000, FRAMES),
    Reader("event-codes", _events, 150_000),
    Reader("live-records", _records, 40_000),
)
