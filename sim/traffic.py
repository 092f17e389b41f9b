"""Random traffic of a host for tests of the link: frames of all commands, right and wrong, whole and damaged."""

from collections import deque
from dataclasses import dataclass
from random import Random

from opzo.sim.fake_core import FakeCore
from opzo.sim.golden.link import GoldenLink
from opzo.spec.network import Limits
from opzo.spec.protocol import END, ESC, MAX_PAYLOAD, REPLAY, REPLY, Command, Frame, Space, Status, Unescape
from opzo.spec.registers import COUNTER, Reg

TEST_LIMITS = Limits(lanes=4, rows=70, inputs=300, words=5, classes=6)
"""Limits that are no powers of two, so that each bound can be missed by one."""


@dataclass(frozen=True)
class Exchange:
    """Bytes from the host and the bytes that a golden link answers."""

    sent: bytes
    answered: bytes


class Traffic:
    """Endless random traffic; a golden link tells what is answered and which frame comes next.

    Parameters
    ----------
    rng : random.Random
        Decides everything.
    limits : Limits
        Of the device.

    Attributes
    ----------
    core : FakeCore
        Core behind the golden link.
    link : GoldenLink
    """

    def __init__(self, rng: Random, limits: Limits = TEST_LIMITS) -> None:
        self.core = FakeCore(limits)
        self.link = GoldenLink(self.core)
        self._rng = rng
        self._limits = limits
        self._recent: deque[bytes] = deque(maxlen=REPLAY + 2)

    def exchange(self, sent: bytes) -> Exchange:
        """Exchange of given bytes."""
        return Exchange(sent, self.link.feed(sent))

    def begin(self) -> list[Exchange]:
        """Start a session with a network as large as the device."""
        network = self._limits.classes.to_bytes(4, "little") + self._limits.inputs.to_bytes(4, "little")
        exchanges = [self.exchange(self._sync(self._rng.getrandbits(32)).encode())]
        exchanges.append(self.exchange(self._frame(Command.WRITE_REGISTERS, bytes((Reg.CLASSES,)) + network).encode()))
        return exchanges

    def ordinary(self) -> Exchange:
        """Next frame in order, undamaged; most of them events and samples."""
        wire = self._random_frame().encode()
        self._recent.append(wire)
        return self.exchange(wire)

    def hostile(self) -> Exchange:
        """Anything: most of it in order, the rest damaged, repeated, out of order, or noise."""
        rng = self._rng
        dice = rng.random()
        if dice < 0.7:
            return self.ordinary()
        if dice < 0.82 and self._recent:
            return self.exchange(rng.choice(self._recent))
        frame = self._random_frame()
        wire = frame.encode()
        if dice < 0.85:
            return self.exchange(Frame((frame.seq + rng.randint(-6, 6)) % 256, frame.code, frame.data).encode())
        if dice < 0.87:
            return self.exchange(Frame((frame.seq - 1) % 256, frame.code, frame.data).encode())
        if dice < 0.93:
            return self.exchange(self._damage(wire))
        if dice < 0.96:
            noise = rng.choices((END, ESC, *rng.randbytes(8)), k=rng.randint(1, 30))
            return self.exchange(bytes(noise))
        if dice < 0.97:
            return self.exchange(self._sync(rng.getrandbits(32)).encode())
        if dice < 0.98:
            return self.exchange(self._sync(self.link.nonce or 0).encode())
        if dice < 0.985:
            return self.exchange(Frame(frame.seq, Command.SYNC, rng.randbytes(rng.choice((0, 3, 5)))).encode())
        return self.exchange(Frame(frame.seq, frame.code, rng.randbytes(MAX_PAYLOAD + rng.randint(-1, 3))).encode())

    def _frame(self, code: int, data: bytes = b"") -> Frame:
        return Frame(self.link.expected, code, data)

    def _sync(self, nonce: int) -> Frame:
        return Frame(self._rng.randrange(256), Command.SYNC, nonce.to_bytes(4, "little"))

    def _damage(self, wire: bytes) -> bytes:
        rng = self._rng
        where = rng.randrange(len(wire))
        kind = rng.randrange(4)
        if kind == 0:
            return wire[:where]
        if kind == 1:
            return wire[:where] + wire[where + 1 :]
        if kind == 2:
            return wire[:where] + bytes((wire[where] ^ 1 << rng.randrange(8),)) + wire[where + 1 :]
        return wire[:where] + rng.randbytes(1) + wire[where:]

    def _random_frame(self) -> Frame:
        rng = self._rng
        make = rng.choices(
            (
                self._events,
                self._run,
                self._read_registers,
                self._write_registers,
                self._read_memory,
                self._write_memory,
                lambda: self._frame(Command.RESET, b"x" * (rng.random() < 0.2)),
                lambda: self._frame(rng.choice((0, 9, 0x7F, REPLY | Command.RUN, 0xFF)), rng.randbytes(3)),
            ),
            (30, 40, 6, 5, 5, 6, 5, 2),
        )[0]
        frame = make()
        if rng.random() < 0.03:
            return Frame(frame.seq, frame.code, frame.data[: rng.randrange(len(frame.data) + 1)])
        return frame

    def _pairs(self) -> bytes:
        rng = self._rng
        count = rng.choice((0, 1, 2, 10, 40))
        top = rng.choice((2, 10, 10, 255)) if count < 40 else 6
        return bytes(
            b
            for _ in range(count)
            for b in (rng.randrange(top), rng.choice((0, 1, 255, END, ESC, rng.randrange(1, 256))))
        )

    def _events(self) -> Frame:
        return self._frame(Command.EVENTS, self._pairs())

    def _run(self) -> Frame:
        rng = self._rng
        label = self._limits.classes if rng.random() < 0.05 else rng.randrange(self._limits.classes)
        flags = rng.randrange(4) | 4 * (rng.random() < 0.1)
        return self._frame(Command.RUN, bytes((flags, label)) + self._pairs())

    def _read_registers(self) -> Frame:
        address = self._rng.choice((0, Reg.SAMPLES, COUNTER, 250, self._rng.randrange(256)))
        return self._frame(Command.READ_REGISTERS, bytes((address, self._rng.choice((0, 1, 2, 20, 255)))))

    def _write_registers(self) -> Frame:
        rng = self._rng
        # Mostly not those that say what an event and a label may be.
        address = rng.choice((Reg.RULE, Reg.SAMPLES, 254, rng.randrange(4, 256), Reg.INPUTS))
        values = [rng.choice((1, 0xFFFFFFFF, rng.getrandbits(32))) for _ in range(rng.randrange(4))]
        if address == Reg.INPUTS and values and rng.random() < 0.8:
            values[0] = self._limits.inputs - rng.randrange(2)
        return self._frame(
            Command.WRITE_REGISTERS, bytes((address,)) + b"".join(v.to_bytes(4, "little") for v in values)
        )

    def _place(self, rows: int) -> tuple[int, int]:
        """Space and first row for ``rows`` rows, now and then just beyond the end."""
        rng = self._rng
        space = rng.choice((*Space, 4, 255)) if rng.random() < 0.4 else Space.WEIGHTS
        ends = (self._limits.rows, 2, 2 * self._limits.words, self._limits.words)
        end = ends[space] if space < len(ends) else 0
        first = rng.choice(
            (0, end - rows, end - rows, rng.randrange(end + 1), end - rows + 1, 1 << rng.randint(18, 31), 0xFFFFFFFF)
        )
        return space, max(first, 0)

    def _read_memory(self) -> Frame:
        rows = self._rng.choice((0, 1, 2, 3, 70, 32768 // self._limits.lanes - 1, 32768 // self._limits.lanes, 65535))
        space, first = self._place(rows)
        return self._frame(
            Command.READ_MEMORY, bytes((space,)) + first.to_bytes(4, "little") + rows.to_bytes(2, "little")
        )

    def _write_memory(self) -> Frame:
        rows = self._rng.choice((0, 1, 2, 3))
        space, first = self._place(rows)
        words = self._rng.randbytes(rows * self._limits.lanes * 2)
        return self._frame(Command.WRITE_MEMORY, bytes((space,)) + first.to_bytes(4, "little") + words)


def frames(wire: bytes) -> list[Frame]:
    """Frames in what a device sent; ValueError where one is malformed or bytes remain."""
    bodies = Unescape().feed(wire)
    result = [None if body is None else Frame.decode(body) for body in bodies]
    if None in result or (wire and wire[-1] != END):
        raise ValueError(f"malformed frame among the replies {wire.hex(' ')}")
    return [frame for frame in result if frame is not None]


def is_sample_reply(frame: Frame) -> bool:
    """Whether ``frame`` carries the result of a sample, which alone may come late."""
    return frame.code == Command.RUN | REPLY and frame.data[0] == Status.OK
