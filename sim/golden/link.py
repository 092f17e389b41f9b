"""The device side of the link over a golden core; ``opzo.spec.protocol`` has the rules.

The engine of a golden core answers at once, so the reply of a RUN is never outstanding.
"""

import struct
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np

from opzo.spec.commands import ANSWERS, NAK, NAK_PAYLOAD, REPLY, REQUESTS, Command, NakReason, RunFlag, Status
from opzo.spec.events import Chunk, decode_frame_pairs, decode_steps
from opzo.spec.frames import MAX_PAYLOAD, OVERHEAD, Frame, Unescape
from opzo.spec.limits import Limits
from opzo.spec.memories import ENTRY_BYTES, Space, rows_of
from opzo.spec.protocol import REPLAY, Identity
from opzo.spec.registers import Reg
from opzo.spec.rules import Input

_RUN_FLAGS, _OUTPUTS = sum(RunFlag), int(RunFlag.OUTPUTS)
_FLAGS = tuple(map(RunFlag, range(_RUN_FLAGS + 1)))
"""Flags by value; to find them here is faster than to make them."""
_MAX_REPLY = 0xFFFF
"""Payload that the length field of a reply can say."""


class Result(Protocol):
    """Answer of a core to a run."""

    @property
    def prediction(self) -> int:
        """Class."""

    @property
    def loss(self) -> int:
        """Unsigned, 32 bits."""

    @property
    def outputs(self) -> Sequence[int]:
        """Summed readouts, signed, 32 bits."""


class Core(Protocol):
    """What the link needs of a core; `opzo.sim.golden.core.GoldenCore` and the fake one of the tests have it."""

    limits: Limits

    def read_register(self, address: int) -> int:
        """Register; 0 where nothing is."""

    def write_register(self, address: int, value: int) -> None:
        """Write a register; ignored where nothing is."""

    def read_row(self, space: Space, row: int) -> np.ndarray:
        """One row: uint16 (lanes,)."""

    def write_row(self, space: Space, row: int, data: np.ndarray) -> None:
        """Write one row: uint16 (lanes,)."""

    def run(self, chunk: Chunk, label: int, flags: RunFlag) -> Result:
        """Run a frame or a chunk of events."""


class _Executed(NamedTuple):
    code: int
    status: Status
    reply: bytes


class _RefusedError(Exception):
    def __init__(self, status: Status) -> None:
        self.status = status


def _require(condition: bool, status: Status) -> None:
    if not condition:
        raise _RefusedError(status)


def _split(command: Command, data: bytes) -> tuple[tuple[Any, ...], bytes]:
    """Fields of a payload, and what follows them."""
    layout = REQUESTS[command]
    _require(len(data) >= layout.size, Status.BAD_LENGTH)
    return layout.unpack(data), data[layout.size :]


def _fields(command: Command, data: bytes) -> tuple[Any, ...]:
    """Fields of a payload that consists of nothing else."""
    fields, rest = _split(command, data)
    _require(not rest, Status.BAD_LENGTH)
    return fields


class GoldenLink:
    """Answer a host's bytes by means of ``core``.

    Parameters
    ----------
    core : Core
        Executes the commands.
    clock_khz : int
        Clock to report, 0 for none.

    Attributes
    ----------
    expected : int
        Sequence number of the next frame.
    nonce : int or None
        Nonce of the session; None without one.
    """

    def __init__(self, core: Core, clock_khz: int = 0) -> None:
        self.core = core
        self.expected = 0
        self.nonce: int | None = None
        self._most_events = core.limits.events
        self._identity = Identity.of(core.limits, clock_khz).pack()
        self._unescape = Unescape(MAX_PAYLOAD + OVERHEAD)
        self._executed: dict[int, _Executed] = {}
        self._commands: dict[int, Callable[[bytes], bytes]] = {
            Command.READ_REGISTERS: self._read_registers,
            Command.WRITE_REGISTERS: self._write_registers,
            Command.READ_MEMORY: self._read_memory,
            Command.WRITE_MEMORY: self._write_memory,
            Command.EVENTS: self._events,
            Command.RUN: self._run,
            Command.RESET: self._reset,
        }
        self._position = 0
        self._bad_event = False
        self._discard()

    def feed(self, data: bytes) -> bytes:
        """Take bytes from the host and return the frames of all replies to them."""
        return b"".join(reply.encode() for body in self._unescape.feed(data) for reply in self._answer(body))

    def _answer(self, body: bytes | None) -> list[Frame]:
        frame = None if body is None else Frame.decode(body)
        if frame is None:
            return [self._nak(NakReason.MALFORMED)]
        if frame.code == Command.SYNC:
            return [Frame(frame.seq, frame.code | REPLY, self._sync(frame))]
        if self.nonce is None:
            return [self._nak(NakReason.NO_SESSION)]
        if frame.seq != self.expected:
            return self._repeat(frame)
        reply = self._execute(frame)
        self.expected = (self.expected + 1) % 256
        self._executed.pop((self.expected - REPLAY - 1) % 256, None)
        return [reply]

    def _nak(self, reason: NakReason) -> Frame:
        return Frame(self.expected, NAK, NAK_PAYLOAD.pack(reason, self.expected))

    def _sync(self, frame: Frame) -> bytes:
        try:
            (nonce,) = _fields(Command.SYNC, frame.data)
        except _RefusedError as refused:
            return bytes((refused.status,))
        if nonce != self.nonce:
            self.nonce = nonce
            self.expected = (frame.seq + 1) % 256
            self._executed.clear()
            self._discard()
        return bytes((Status.OK,)) + self._identity

    def _repeat(self, frame: Frame) -> list[Frame]:
        executed = self._executed.get(frame.seq)
        if executed is None or executed.code != frame.code:
            return [self._nak(NakReason.ORDER)]
        if frame.code in (Command.RUN, Command.EVENTS) or executed.status != Status.OK:
            return [Frame(frame.seq, frame.code | REPLY, executed.reply)]
        if frame.seq == (self.expected - 1) % 256:
            return [self._execute(frame)]
        return []

    def _execute(self, frame: Frame) -> Frame:
        try:
            _require(frame.code in self._commands, Status.BAD_COMMAND)
            status, payload = Status.OK, self._commands[frame.code](frame.data)
        except _RefusedError as refused:
            status, payload = refused.status, b""
            if frame.code == Command.RUN:
                self._discard()
        reply = bytes((status,)) + payload
        # Only what may be sent again as it is: a reply of READ_MEMORY may be long, and is made again.
        kept = reply if frame.code == Command.RUN else reply[:1]
        self._executed[frame.seq] = _Executed(frame.code, status, kept)
        return Frame(frame.seq, frame.code | REPLY, reply)

    def _read_registers(self, data: bytes) -> bytes:
        address, count = _fields(Command.READ_REGISTERS, data)
        _require(count > 0, Status.BAD_LENGTH)
        values = [self.core.read_register((address + k) % 256) for k in range(count)]
        return struct.pack(f"<{len(values)}I", *values)

    def _write_registers(self, data: bytes) -> bytes:
        (address,), values = _split(Command.WRITE_REGISTERS, data)
        _require(len(values) % 4 == 0, Status.BAD_LENGTH)
        for k, (value,) in enumerate(struct.iter_unpack("<I", values)):
            self.core.write_register((address + k) % 256, value)
        return b""

    def _read_memory(self, data: bytes) -> bytes:
        space, first, rows = _fields(Command.READ_MEMORY, data)
        _require(0 < rows and 1 + rows * self.core.limits.lanes * ENTRY_BYTES <= _MAX_REPLY, Status.BAD_LENGTH)
        _require(first + rows <= rows_of(space, self.core.limits), Status.BAD_ADDRESS)
        return b"".join(self.core.read_row(Space(space), first + k).astype("<u2").tobytes() for k in range(rows))

    def _write_memory(self, data: bytes) -> bytes:
        lanes = self.core.limits.lanes
        (space, first), entries = _split(Command.WRITE_MEMORY, data)
        rows, rest = divmod(len(entries), lanes * ENTRY_BYTES)
        _require(rows > 0 and rest == 0, Status.BAD_LENGTH)
        # A memory that does not exist has no rows.
        _require(first + rows <= rows_of(space, self.core.limits), Status.BAD_ADDRESS)
        _require(Space(space).writable, Status.BAD_ADDRESS)
        block = np.frombuffer(entries, "<u2").astype(np.uint16).reshape(rows, lanes)
        for k, row in enumerate(block):
            self.core.write_row(Space(space), first + k, row)
        return b""

    def _input(self) -> Input:
        return Input.of_register(self.core.read_register(Reg.INPUT))

    def _events(self, data: bytes) -> bytes:
        self._append(data, self._input())
        return b""

    def _append(self, data: bytes, kind: Input) -> None:
        """Append events; an event that is not allowed makes the input invalid, and is remembered."""
        _require(len(data) % 2 == 0 or not kind.values, Status.BAD_LENGTH)
        if not kind.events:
            addresses, values, self._position = decode_frame_pairs(data, self._position)
            part = Chunk(addresses, values)
        else:
            part, self._position = decode_steps(data, graded=kind.graded, position=self._position)
        inputs = min(self.core.read_register(Reg.INPUTS), self.core.limits.inputs)
        if len(part.addresses):
            # The addresses of a frame ascend, and its values are not 0.
            last = part.addresses.max() if kind.events else part.addresses[-1]
            self._bad_event |= bool(last >= inputs) or (kind.graded and bool((part.values == 0).any()))
        self._parts.append(part)

    def _run(self, data: bytes) -> bytes:
        (flags, label), events = _split(Command.RUN, data)
        kind = self._input()
        self._append(events, kind)
        chunk = Chunk.joined(self._parts)
        _require(not self._bad_event, Status.BAD_EVENT)
        _require(len(chunk.addresses) <= self._most_events, Status.FULL)
        if kind.events:
            most = min(kind.run_steps, self.core.limits.steps)
            _require(1 <= len(chunk.ends) <= most and chunk.ends[-1] == len(chunk.addresses), Status.BAD_STEPS)
        classes = min(self.core.read_register(Reg.CLASSES), self.core.limits.classes)
        _require(label < classes, Status.BAD_LABEL)
        result = self.core.run(chunk, label, _FLAGS[flags & _RUN_FLAGS])
        self._discard()
        reply = ANSWERS[Command.RUN].pack(result.prediction, result.loss)
        if flags & _OUTPUTS:
            reply += struct.pack(f"<{len(result.outputs)}i", *result.outputs)
        return reply

    def _reset(self, data: bytes) -> bytes:
        _fields(Command.RESET, data)
        self._discard()
        return b""

    def _discard(self) -> None:
        self._parts: list[Chunk] = []
        """Input of the next run so far, the ends of each part counted from its first event."""
        self._position = 0
        self._bad_event = False
