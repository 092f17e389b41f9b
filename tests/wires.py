"""Devices at the bytes of their links, and the same random steps on all of them."""

import struct
from collections.abc import Iterable
from itertools import islice

import numpy as np

from opzo.sim.benches.sequences import GivenUp, Rows, Run, Sequence, Settings, Step
from opzo.sim.benches.store.sequences import Stored
from opzo.sim.model_transport import ModelTransport
from opzo.sim.rtl.transport import RtlTransport
from opzo.spec.commands import ANSWERS, REPLY, Command
from opzo.spec.frames import MAX_PAYLOAD, Frame, Unescape
from opzo.spec.limits import Limits
from opzo.spec.memories import Space
from opzo.spec.protocol import REPLAY
from opzo.spec.registers import COUNTER, TIMING_COUNTERS

BATCH = 5
"""Most steps that are on their way at once."""
Snapshot = dict[str, np.ndarray]
TIMED = [COUNTER + 2 * counter + half for counter in TIMING_COUNTERS for half in range(2)]
REGISTERS = 255
STORE_PART = 1000
"""Bytes of a WRITE_STORE."""
CLOCK_BYTES = 4
"""Of an identity, its last."""


def spaces(limits: Limits) -> dict[Space, int]:
    """Rows of each memory."""
    return {
        Space.WEIGHTS: limits.rows,
        Space.LFSR: 2,
        Space.MEMBRANE: 2 * limits.words,
        Space.HISTORY: limits.words,
        Space.INPUT_HISTORY: limits.input_words,
    }


def compare(name: str, actual: Snapshot, expected: Snapshot, where: str, step: object = "") -> None:
    """AssertionError that names what differs first, state, address and lane, then the ``step`` after which it did."""
    for what, values in expected.items():
        different = np.argwhere(actual[what] != values)
        if len(different):
            place = tuple(int(i) for i in different[0])
            at = f"address {place[0]}" + (f", lane {place[1]}" if len(place) > 1 else "")
            raise AssertionError(
                f"{where}: {what}, {at}: {name} has {actual[what][place]}, golden {values[place]}; "
                f"{len(different)} of {values.size} differ, after {step}"
            )


def _told(frame: Frame) -> bytes:
    """Data of a reply, but for the clock and the counters of cycles."""
    if frame.code == Command.RUN_STORED | REPLY and len(frame.data) > 1:
        head, data = 1 + ANSWERS[Command.RUN_STORED].size, bytearray(frame.data)
        for register in TIMED:
            place = head + 4 * (register - COUNTER)
            data[place : place + 4] = bytes(4)
        return bytes(data)
    return frame.data[: -CLOCK_BYTES if frame.code == Command.SYNC | REPLY else None]


class Wire:
    """A device at the bytes of its link; always in a session."""

    def __init__(self, name: str, transport: ModelTransport | RtlTransport, limits: Limits) -> None:
        self.name, self.limits, self._transport = name, limits, transport
        self._seq, self._nonce, self._unescape = 0, 0, Unescape()
        self._sent = b""
        self._last_block: Frame | None = None
        self.synchronise()

    def send(self, command: Command, payload: bytes = b"") -> None:
        self._sent += Frame(self._seq, command, payload).encode()
        self._seq = (self._seq + 1) % 256

    def synchronise(self) -> None:
        """Begin another session."""
        self._nonce += 1
        self.send(Command.SYNC, struct.pack("<I", self._nonce))

    def send_part(self, data: bytes, size: int) -> None:
        """Part of a frame, which is refused as malformed."""
        self._sent += Frame(self._seq, Command.EVENTS, data).encode()[:size] + b"\xc0"

    def replies(self) -> list[tuple[int, int, bytes]]:
        """What comes back for all that was sent, in order of seq and code."""
        self._transport.write(self._sent)
        self._sent = b""
        frames = []
        while data := self._transport.read(600.0):
            frames += [Frame.decode(body) for body in self._unescape.feed(data) if body is not None]
        return sorted((frame.seq, frame.code, _told(frame)) for frame in frames if frame is not None)

    def do(self, step: Step | Stored, rng: np.random.Generator) -> None:
        """Send a step."""
        self._last_block = None
        if isinstance(step, Settings):
            addresses = sorted(step.values)
            runs = np.split(addresses, np.flatnonzero(np.diff(addresses) != 1) + 1)
            for block in runs:
                words = struct.pack(f"<{len(block)}I", *(step.values[int(address)] for address in block))
                self.send(Command.WRITE_REGISTERS, bytes([int(block[0])]) + words)
        elif isinstance(step, Rows):
            most = (MAX_PAYLOAD - 5) // (2 * self.limits.lanes)
            for begin in range(0, len(step.data), most):
                block = step.data[begin : begin + most].astype("<u2").tobytes()
                self.send(Command.WRITE_MEMORY, struct.pack("<BI", step.space, step.first + begin) + block)
        elif isinstance(step, Run):
            rest = self._send_events(step.payload, rng)
            self.send(Command.RUN, bytes((step.flags, step.label)) + rest)
        elif isinstance(step, Stored):
            self._send_stored(step, rng)
        else:
            self._give_up(step, rng)

    def _send_stored(self, step: Stored, rng: np.random.Generator) -> None:
        for begin in range(0, len(step.image), STORE_PART):
            part = step.image[begin : begin + STORE_PART]
            self.send(Command.WRITE_STORE, struct.pack("<I", step.address + begin) + part)
        self.send(Command.CHECK_STORE, struct.pack("<II", step.address, len(step.image)))
        self.send(Command.READ_STORE, struct.pack("<IH", step.address, min(len(step.image), 1200)))
        if step.pending:
            self.send(Command.EVENTS, step.pending)
        for block in step.blocks:
            self._last_block = Frame(self._seq, Command.RUN_STORED, block)
            self.send(Command.RUN_STORED, block)

    def repeat_block(self) -> None:
        """Send the last RUN_STORED again, if the device still keeps its reply."""
        if self._last_block and (self._seq - 1 - self._last_block.seq) % 256 < REPLAY:
            self._sent += self._last_block.encode()

    def _send_events(self, payload: bytes, rng: np.random.Generator) -> bytes:
        """Send some of a payload; what is left."""
        while payload and (len(payload) > MAX_PAYLOAD - 2 or rng.random() < 0.3):
            size = min(2 * int(rng.integers(1, 1 + (len(payload) + 1) // 2)), MAX_PAYLOAD)
            self.send(Command.EVENTS, payload[:size])
            payload = payload[size:]
        return payload

    def _give_up(self, step: GivenUp, rng: np.random.Generator) -> None:
        rest = self._send_events(step.payload, rng)
        how = rng.choice(("reset", "session", "label", "corrupt", "event"))
        if how == "session":
            self.synchronise()
        elif how == "label":
            self.send(Command.RUN, b"\x05\xff" + rest)
        else:
            if how == "corrupt":
                self.send_part(rest, int(rng.integers(1, len(rest) + 4)))
            elif how == "event":
                self.send(Command.EVENTS, b"\xff" * 8)
            self.send(Command.RESET)

    def snapshot(self) -> Snapshot:
        """All that can be read."""
        self.send(Command.READ_REGISTERS, bytes((0, REGISTERS)))
        for space, rows in spaces(self.limits).items():
            self.send(Command.READ_MEMORY, struct.pack("<BIH", space, 0, rows))
        count = len(spaces(self.limits))
        first = (self._seq - 1 - count) % 256
        replies = sorted(self.replies(), key=lambda reply: (reply[0] - first) % 256)
        assert [reply[2][0] for reply in replies] == [0] * (1 + count), f"{self.name}: {replies}"
        registers, *memories = (reply[2][1:] for reply in replies)
        values = {"registers": np.frombuffer(registers, "<u4").copy()}
        values["registers"][TIMED] = 0
        for space, data in zip(spaces(self.limits), memories, strict=True):
            values[space.name] = np.frombuffer(data, "<u2").reshape(-1, self.limits.lanes)
        return values


def compare_replies(wires: Iterable[Wire], where: str, step: object) -> None:
    """Replies of all devices to what was sent; those of the first one are expected."""
    golden, *others = wires
    expected = golden.replies()
    for wire in others:
        actual = wire.replies()
        different = [pair for pair in zip(actual, expected, strict=False) if pair[0] != pair[1]]
        assert actual == expected, f"{where}: (seq, code, reply) of {wire.name} and golden: {different[:1]}, {step}"


def run_on_wires(wires: list[Wire], seed: int, networks: int, kind: type[Sequence] = Sequence) -> None:
    """The same steps on all devices, the golden model first."""
    sequence = kind(seed, wires[0].limits)
    steps, number = iter(sequence), 0
    cuts = np.random.default_rng(seed)
    golden, *others = wires
    while sequence.networks <= networks:
        batch = list(islice(steps, int(cuts.integers(1, BATCH + 1))))
        number += len(batch)
        where = f"seed {seed}, step {number}, network {sequence.network}"
        state = cuts.bit_generator.state
        for wire in wires:
            cuts.bit_generator.state = state
            for step in batch:
                wire.do(step, cuts)
        compare_replies(wires, where, batch[-1])
        for wire in wires:
            wire.repeat_block()
        compare_replies(wires, f"{where}, a block repeated", batch[-1])
        expected_state = golden.snapshot()
        for wire in others:
            compare(wire.name, wire.snapshot(), expected_state, where, batch[-1])
