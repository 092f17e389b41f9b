"""The device side of the link over a golden core; ``opzo.spec.protocol`` has the rules.

The engine of a golden core answers at once, so the reply of a RUN is never outstanding.
"""

import struct
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from opzo.sim.golden.intake import Core, Intake
from opzo.sim.golden.refusal import RefusedError, require
from opzo.sim.golden.store import GoldenStore
from opzo.spec.commands import (
    ANSWERS,
    NAK,
    NAK_PAYLOAD,
    REPLY,
    REQUESTS,
    RUN_COMMANDS,
    STATUS_COMMANDS,
    Command,
    NakReason,
    RunFlag,
    Status,
)
from opzo.spec.frames import MAX_PAYLOAD, OVERHEAD, Frame, Unescape
from opzo.spec.memories import ENTRY_BYTES, Space, rows_of
from opzo.spec.protocol import REPLAY, Identity

_RUN_FLAGS, _OUTPUTS = sum(RunFlag), int(RunFlag.OUTPUTS)
_FLAGS = tuple(map(RunFlag, range(_RUN_FLAGS + 1)))
"""Flags by value; to find them here is faster than to make them."""
_MAX_REPLY = 0xFFFF
"""Payload that the length field of a reply can say."""


class _Executed(NamedTuple):
    code: int
    status: Status
    reply: bytes


def _split(command: Command, data: bytes) -> tuple[tuple[Any, ...], bytes]:
    """Fields of a payload, and what follows them."""
    layout = REQUESTS[command]
    require(len(data) >= layout.size, Status.BAD_LENGTH)
    return layout.unpack(data), data[layout.size :]


def _fields(command: Command, data: bytes) -> tuple[Any, ...]:
    """Fields of a payload that consists of nothing else."""
    fields, rest = _split(command, data)
    require(not rest, Status.BAD_LENGTH)
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
    store : GoldenStore
        The sample store.
    """

    def __init__(self, core: Core, clock_khz: int = 0) -> None:
        self.core = core
        self.expected = 0
        self.nonce: int | None = None
        self._intake = Intake(core)
        self.store = GoldenStore(core)
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
        if core.limits.store:
            self._commands |= {
                Command.READ_STORE: self.store.read,
                Command.WRITE_STORE: self.store.write,
                Command.CHECK_STORE: self.store.check,
                Command.RUN_STORED: self._run_stored,
            }

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
        except RefusedError as refused:
            return bytes((refused.status,))
        if nonce != self.nonce:
            self.nonce = nonce
            self.expected = (frame.seq + 1) % 256
            self._executed.clear()
            self._intake.discard()
        return bytes((Status.OK,)) + self._identity

    def _repeat(self, frame: Frame) -> list[Frame]:
        executed = self._executed.get(frame.seq)
        if executed is None or executed.code != frame.code:
            return [self._nak(NakReason.ORDER)]
        if frame.code in RUN_COMMANDS + STATUS_COMMANDS or executed.status != Status.OK:
            return [Frame(frame.seq, frame.code | REPLY, executed.reply)]
        if frame.seq == (self.expected - 1) % 256:
            return [self._execute(frame)]
        return []

    def _execute(self, frame: Frame) -> Frame:
        try:
            require(frame.code in self._commands, Status.BAD_COMMAND)
            status, payload = Status.OK, self._commands[frame.code](frame.data)
        except RefusedError as refused:
            status, payload = refused.status, b""
            if frame.code == Command.RUN:
                self._intake.discard()
        reply = bytes((status,)) + payload
        # Only what may be sent again as it is: a reply of READ_MEMORY may be long, and is made again.
        kept = reply if frame.code in RUN_COMMANDS else reply[:1]
        self._executed[frame.seq] = _Executed(frame.code, status, kept)
        return Frame(frame.seq, frame.code | REPLY, reply)

    def _read_registers(self, data: bytes) -> bytes:
        address, count = _fields(Command.READ_REGISTERS, data)
        require(count > 0, Status.BAD_LENGTH)
        values = [self.core.read_register((address + k) % 256) for k in range(count)]
        return struct.pack(f"<{len(values)}I", *values)

    def _write_registers(self, data: bytes) -> bytes:
        (address,), values = _split(Command.WRITE_REGISTERS, data)
        require(len(values) % 4 == 0, Status.BAD_LENGTH)
        for k, (value,) in enumerate(struct.iter_unpack("<I", values)):
            self.core.write_register((address + k) % 256, value)
        return b""

    def _read_memory(self, data: bytes) -> bytes:
        space, first, rows = _fields(Command.READ_MEMORY, data)
        require(0 < rows and 1 + rows * self.core.limits.lanes * ENTRY_BYTES <= _MAX_REPLY, Status.BAD_LENGTH)
        require(first + rows <= rows_of(space, self.core.limits), Status.BAD_ADDRESS)
        return b"".join(self.core.read_row(Space(space), first + k).astype("<u2").tobytes() for k in range(rows))

    def _write_memory(self, data: bytes) -> bytes:
        lanes = self.core.limits.lanes
        (space, first), entries = _split(Command.WRITE_MEMORY, data)
        rows, rest = divmod(len(entries), lanes * ENTRY_BYTES)
        require(rows > 0 and rest == 0, Status.BAD_LENGTH)
        # A memory that does not exist has no rows.
        require(first + rows <= rows_of(space, self.core.limits), Status.BAD_ADDRESS)
        require(Space(space).writable_in(self.core.limits), Status.BAD_ADDRESS)
        block = np.frombuffer(entries, "<u2").astype(np.uint16).reshape(rows, lanes)
        for k, row in enumerate(block):
            self.core.write_row(Space(space), first + k, row)
        return b""

    def _events(self, data: bytes) -> bytes:
        self._intake.append(data)
        return b""

    def _run(self, data: bytes) -> bytes:
        (flags, label), events = _split(Command.RUN, data)
        chunk = self._intake.finish(events, label)
        require(self.core.limits.learning or not flags & RunFlag.TRAIN, Status.NO_LEARNING)
        result = self.core.run(chunk, label, _FLAGS[flags & _RUN_FLAGS])
        reply = ANSWERS[Command.RUN].pack(result.prediction, result.loss)
        if flags & _OUTPUTS:
            reply += struct.pack(f"<{len(result.outputs)}i", *result.outputs)
        return reply

    def _run_stored(self, data: bytes) -> bytes:
        reply = self.store.run(data)
        self._intake.discard()
        return reply

    def _reset(self, data: bytes) -> bytes:
        _fields(Command.RESET, data)
        self._intake.discard()
        return b""
