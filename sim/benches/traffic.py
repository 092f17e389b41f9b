"""Random host traffic for tests of the link: frames of all commands, valid and invalid, complete and damaged."""

from collections import deque
from dataclasses import dataclass
from random import Random

from opzo.sim.benches.fake_core import FakeCore
from opzo.sim.golden.link import GoldenLink
from opzo.spec.commands import REPLY, REQUESTS, RUN_COMMANDS, Command, RunFlag, Status
from opzo.spec.events import END_STEPS, MOST_ENDS, SKIP
from opzo.spec.frames import END, ESC, MAX_PAYLOAD, Frame, Unescape
from opzo.spec.limits import Limits
from opzo.spec.memories import Space, rows_of
from opzo.spec.protocol import REPLAY
from opzo.spec.registers import COUNTER, Reg
from opzo.spec.rules import Input

TEST_LIMITS = Limits(lanes=4, rows=70, inputs=301, words=5, classes=6, steps=7)
"""Limits that are not powers of two, so that an off-by-one error in a bound is detected."""


@dataclass(frozen=True)
class Exchange:
    """Bytes from the host, and the reply of a golden link."""

    sent: bytes
    answered: bytes


class Traffic:
    """Endless random traffic; a golden link determines the answers and the next frame.

    Parameters
    ----------
    rng : random.Random
        Source of all random choices.
    limits : Limits
        Limits of the device.

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
        """Exchange for the given bytes."""
        return Exchange(sent, self.link.feed(sent))

    def begin(self) -> list[Exchange]:
        """Start a session with a network as large as the device, whose inputs are frames."""
        exchanges = [self.exchange(self._sync(self._rng.getrandbits(32)).encode())]
        exchanges.append(self.exchange(self._write(Reg.CLASSES, self._limits.classes, self._limits.inputs).encode()))
        exchanges.append(self.exchange(self._set_input(Input.FRAME).encode()))
        return exchanges

    def ordinary(self) -> Exchange:
        """Next frame, in order and undamaged; usually events or a run."""
        wire = self._random_frame().encode()
        self._recent.append(wire)
        return self.exchange(wire)

    def hostile(self) -> Exchange:
        """Arbitrary bytes: usually a frame in order, otherwise damaged, repeated, out of order, or noise."""
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
        return Frame(self._rng.randrange(256), Command.SYNC, REQUESTS[Command.SYNC].pack(nonce))

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
                lambda: self._set_input(rng.randrange(4)),
                self._read_memory,
                self._write_memory,
                lambda: self._frame(Command.RESET, b"x" * (rng.random() < 0.2)),
                lambda: self._frame(rng.choice((0, 9, 0x7F, REPLY | Command.RUN, 0xFF)), rng.randbytes(3)),
            ),
            (30, 40, 6, 5, 5, 5, 6, 5, 2),
        )[0]
        frame = make()
        if rng.random() < 0.03:
            return Frame(frame.seq, frame.code, frame.data[: rng.randrange(len(frame.data) + 1)])
        return frame

    def _set_input(self, kind: int) -> Frame:
        """Set the kind of input; 3 is valid but has no name."""
        return self._write(Reg.INPUT, kind)

    def _write(self, address: int, *values: int) -> Frame:
        """Write registers."""
        head = REQUESTS[Command.WRITE_REGISTERS].pack(address)
        return self._frame(Command.WRITE_REGISTERS, head + b"".join(value.to_bytes(4, "little") for value in values))

    def _input(self, last: bool, kind: int | None = None) -> bytes:
        """Pairs or codes; if inputs are events, the ``last`` part usually ends a time step."""
        kind = self.core.read_register(Reg.INPUT) if kind is None else kind
        if kind == Input.FRAME:
            return self._pairs()
        rng = self._rng
        if rng.random() < 0.08:
            # The maximum number of events of a chunk, or more.
            codes = bytes(100) + bytes((END_STEPS,))
            codes *= rng.choice((1, 4, 5, 5))
        else:
            codes = self._codes(most_ends=rng.choice((0, 0, 1, 3)) if kind != Input.GRADED else rng.random() < 0.05)
        if last and rng.random() < 0.9:
            few = kind == Input.GRADED or rng.random() < 0.5
            codes += bytes((END_STEPS + (0 if few else rng.randrange(rng.choice((4, MOST_ENDS)))),))
        if kind != Input.GRADED:
            return codes
        values = (rng.choice((1, 255, END, ESC, rng.randrange(1, 256))) for _ in codes)
        pairs = bytes(b for code, value in zip(codes, values, strict=True) for b in (code, value))
        # Value 0 is invalid in an event, and ignored in any other code.
        if pairs and rng.random() < 0.1:
            where = 2 * rng.randrange(len(codes)) + 1
            pairs = pairs[:where] + b"\0" + pairs[where + 1 :]
        return pairs

    def _codes(self, most_ends: int) -> bytes:
        """Codes of events, usually close to each other, and of up to ``most_ends`` ends of time steps."""
        rng = self._rng
        count = rng.choice((0, 1, 2, 10, 40))
        top = rng.choice((2, 10, 10, SKIP)) if count < 40 else 6
        codes = [rng.randrange(top) for _ in range(count)]
        for _ in range(rng.randint(0, most_ends)):
            codes.insert(rng.randint(0, len(codes)), END_STEPS)
        if rng.random() < 0.1:
            codes.insert(rng.randint(0, len(codes)), SKIP + rng.choice((0, rng.randrange(END_STEPS - SKIP))))
        if rng.random() < 0.05:
            codes.append(rng.randrange(256))
        return bytes(codes)

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
        return self._frame(Command.EVENTS, self._input(last=False))

    def _run(self) -> Frame:
        rng = self._rng
        label = self._limits.classes if rng.random() < 0.05 else rng.randrange(self._limits.classes)
        flags = rng.randrange(sum(RunFlag) + 1) | 0x10 * (rng.random() < 0.1)
        return self._frame(Command.RUN, REQUESTS[Command.RUN].pack(flags, label) + self._input(last=True))

    def _read_registers(self) -> Frame:
        address = self._rng.choice((0, Reg.SAMPLES, COUNTER, 250, self._rng.randrange(256)))
        count = self._rng.choice((0, 1, 2, 20, 255))
        return self._frame(Command.READ_REGISTERS, REQUESTS[Command.READ_REGISTERS].pack(address, count))

    def _write_registers(self) -> Frame:
        rng = self._rng
        # Usually not the registers that bound events and labels.
        address = rng.choice((Reg.RULE, Reg.SAMPLES, 254, rng.randrange(4, 256), Reg.INPUTS))
        values = [rng.choice((1, 0xFFFFFFFF, rng.getrandbits(32))) for _ in range(rng.randrange(4))]
        if address == Reg.INPUTS and values and rng.random() < 0.8:
            values[0] = self._limits.inputs - rng.randrange(2)
        return self._write(address, *values)

    def _place(self, rows: int) -> tuple[int, int]:
        """Space and first row for ``rows`` rows, sometimes just beyond the end."""
        rng = self._rng
        space = rng.choice((*Space, 5, 255)) if rng.random() < 0.4 else Space.WEIGHTS
        end = rows_of(space, self._limits)
        first = rng.choice(
            (0, end - rows, end - rows, rng.randrange(end + 1), end - rows + 1, 1 << rng.randint(18, 31), 0xFFFFFFFF)
        )
        return space, max(first, 0)

    def _read_memory(self) -> Frame:
        rows = self._rng.choice((0, 1, 2, 3, 70, 32768 // self._limits.lanes - 1, 32768 // self._limits.lanes, 65535))
        space, first = self._place(rows)
        return self._frame(Command.READ_MEMORY, REQUESTS[Command.READ_MEMORY].pack(space, first, rows))

    def _write_memory(self) -> Frame:
        rows = self._rng.choice((0, 1, 2, 3))
        space, first = self._place(rows)
        words = self._rng.randbytes(rows * self._limits.lanes * 2)
        return self._frame(Command.WRITE_MEMORY, REQUESTS[Command.WRITE_MEMORY].pack(space, first) + words)


def frames(wire: bytes) -> list[Frame]:
    """Frames in the bytes from a device; ValueError if one is malformed or bytes remain."""
    bodies = Unescape().feed(wire)
    result = [None if body is None else Frame.decode(body) for body in bodies]
    if None in result or (wire and wire[-1] != END):
        raise ValueError(f"malformed frame among the replies {wire.hex(' ')}")
    return [frame for frame in result if frame is not None]


@dataclass(frozen=True)
class ChunkCase:
    """Input of a run in parts if register INPUT is ``kind``: the last part is sent with RUN, the others as EVENTS."""

    kind: int
    parts: tuple[bytes, ...]
    label: int
    status: Status
    """Expected status of the reply to RUN; EVENTS are answered with OK."""

    def commands(self) -> list[tuple[Command, bytes]]:
        """Commands with their payloads; parts that are too long are split."""
        pieces = [part[n : n + 600] for part in self.parts for n in range(0, max(1, len(part)), 600)]
        run = bytes((RunFlag.TRAIN | RunFlag.DECISION, self.label)) + pieces.pop()
        return [*((Command.EVENTS, piece) for piece in pieces), (Command.RUN, run)]


def chunk_cases(limits: Limits) -> list[ChunkCase]:
    """Chunks at the limits of a device, and chunks with several errors at once.

    For devices with 3 time steps and 256 inputs or more.
    """
    inputs, most, good, bad = limits.inputs, limits.events, limits.classes - 1, limits.classes
    end, ends, fewer = (bytes((END_STEPS + steps - 1,)) for steps in (1, limits.steps, limits.steps - 1))
    most_ends, far = bytes((END_STEPS + MOST_ENDS - 1,)), bytes((END_STEPS - 1,))
    last, beyond = _first_event(inputs - 1), _first_event(inputs)
    # The maximum number of events of a chunk, and one more.
    whole = (bytes(inputs) + end) * (most // inputs)
    full, more = (whole + bytes(most % inputs + one) + end for one in (0, 1))
    cases = [
        ((end,), good, Status.OK),
        ((last + end,), good, Status.OK),
        ((ends,), good, Status.OK),
        ((end * limits.steps,), good, Status.OK),
        ((b"\1" + end, b"\2" + fewer), good, Status.OK),
        ((end + b"\0", end), good, Status.OK),
        ((full,), good, Status.OK),
        ((full, b""), good, Status.OK),
        # A skip without an event after it has no effect.
        ((end + far * 9,), good, Status.OK),
        ((far * 9 + end + last + end,), good, Status.OK),
        ((far * 9, end), good, Status.OK),
        ((end, ends), good, Status.BAD_STEPS),
        ((ends, end), good, Status.BAD_STEPS),
        ((ends + fewer,), good, Status.BAD_STEPS),
        ((most_ends,), good, Status.BAD_STEPS),
        ((most_ends * 20,), good, Status.BAD_STEPS),
        (((most_ends + end) * 9,), bad, Status.BAD_STEPS),
        ((b"",), good, Status.BAD_STEPS),
        ((b"", b""), bad, Status.BAD_STEPS),
        ((b"\0",), good, Status.BAD_STEPS),
        ((end + b"\0",), good, Status.BAD_STEPS),
        ((last + end, last), bad, Status.BAD_STEPS),
        ((full, end * limits.steps), bad, Status.BAD_STEPS),
        ((more,), good, Status.FULL),
        ((full, b"\0" + end), good, Status.FULL),
        ((full, b"\0"), bad, Status.FULL),
        ((more, most_ends * 3), good, Status.FULL),
        ((far * 9, b"\0" + end), good, Status.BAD_EVENT),
        ((far * 19 + b"\0" + end,), good, Status.BAD_EVENT),
        ((beyond + end,), good, Status.BAD_EVENT),
        # A bad event is followed by another one, which must not be accepted as a good one.
        ((last, b"\0\0", end), good, Status.BAD_EVENT),
        ((beyond + end + last + end,), good, Status.BAD_EVENT),
        ((beyond,), bad, Status.BAD_EVENT),
        ((beyond, full, end), bad, Status.BAD_EVENT),
        ((full, beyond + end), good, Status.BAD_EVENT),
        ((last + end,), bad, Status.BAD_LABEL),
        ((end,), 255, Status.BAD_LABEL),
    ]
    result = [ChunkCase(kind, *case) for kind in (Input.SPIKES, 3) for case in cases]
    for parts, label, status in cases:
        # A chunk of graded events has one time step.
        steps = sum(max(code - END_STEPS + 1, 0) for part in parts for code in part)
        late = status in (Status.OK, Status.BAD_LABEL)
        refused = Status.BAD_STEPS if steps > 1 and late else status
        result.append(ChunkCase(Input.GRADED, tuple(_graded(part, 9) for part in parts), label, refused))
    # Value 0 is invalid in an event, and ignored in any other code.
    skip = bytes((SKIP,))
    for values, status in (
        (((last, 1), (end, 0)), Status.OK),
        (((skip, 0), (b"\1", 255), (end, 3)), Status.OK),
        (((last, 0), (end, 1)), Status.BAD_EVENT),
        (((b"\0", 0), (b"\1", 1), (end, 1)), Status.BAD_EVENT),
    ):
        result.append(ChunkCase(Input.GRADED, (b"".join(_graded(*value) for value in values),), good, status))
    return result


def _first_event(address: int) -> bytes:
    """Codes of an event if the current address is 0."""
    units, rest = divmod(address, SKIP)
    whole, units = divmod(units, END_STEPS - SKIP)
    return bytes((END_STEPS - 1,)) * whole + (bytes((SKIP + units - 1,)) if units else b"") + bytes((rest,))


def _graded(codes: bytes, value: int) -> bytes:
    return bytes(b for code in codes for b in (code, value))


def is_run_reply(frame: Frame) -> bool:
    """Whether ``frame`` contains the result of a run or block, the only reply that may be delayed."""
    return frame.code in [command | REPLY for command in RUN_COMMANDS] and frame.data[0] == Status.OK
