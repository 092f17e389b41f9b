"""Commands test: valid and invalid frames of every command, in and out of sequence, compared with the golden model."""

import struct
import zlib

import numpy as np

from opzo.host.driver.device import Device
from opzo.host.driver.devices import simulated
from opzo.host.driver.link import Link
from opzo.host.driver.transport import Connection
from opzo.host.selftest.device_under_test import DeviceUnderTest, prepare
from opzo.host.selftest.experiment import read_state
from opzo.host.selftest.mismatch import MismatchError, entry_of, require_equal
from opzo.host.selftest.steps.neurons import first_that_fits
from opzo.host.selftest.wire import Wire
from opzo.spec.commands import REPLY, REQUESTS, Command, RunFlag
from opzo.spec.errors import LinkError, OpzoError
from opzo.spec.events import END_STEPS, MOST_ENDS, SKIP, SKIP_UNIT
from opzo.spec.frames import END, ESC, ESC_END, ESC_ESC, MAX_PAYLOAD, Frame
from opzo.spec.limits import Limits
from opzo.spec.memories import Space, rows_of
from opzo.spec.network import Network
from opzo.spec.protocol import REPLAY
from opzo.spec.registers import COUNTER, Counter, Reg
from opzo.spec.rules import Input, Rule

FIRST_SEQ, LAST_SEQ = 180, 255
"""Sequence number of the first frame, and the one before 0."""
MEMORY, MEMORY_WRITE = REQUESTS[Command.READ_MEMORY], REQUESTS[Command.WRITE_MEMORY]
ALL = RunFlag.TRAIN | RunFlag.OUTPUTS | RunFlag.FRESH | RunFlag.DECISION
EVENT_WEIGHT = 0x1C00
LONGEST_REPLY = 0xFFFF
AXES = {"LFSR": ("lane",), "registers": ("address",), "counters": ("number",)}


def commands_step(dut: DeviceUnderTest) -> str:
    """Send frames to the device and the golden model, compare the replies, then the complete state."""
    device, limits = dut.device, dut.limits
    transport = simulated("golden", limits, clock_khz=device.identity.clock_khz)
    golden = Device("golden", Link(Connection.over(transport, "golden")))
    network = first_that_fits(limits, _networks(limits))
    # What the script reads before it is written.
    found = [(Space.WEIGHTS, 0, _longest_read(limits)), (Space.WEIGHTS, limits.rows - 1, 1)]
    if limits.gradients:
        found += [(Space.GRADIENTS, row, 1) for row in (0, Space.GRADIENTS.rows(limits) - 1)]
    for space, row, count in found:
        golden.write_memory(space, row, device.read_memory(space, row, count))
    for each in (device, golden):
        prepare(each, network, Rule.OPZO, dut.seed)
        # The neuron fires at each event, so that a lost or doubled event shows.
        each.write_weights(0, np.full((network.inputs + 1, 1), EVENT_WEIGHT, np.int16))
    wire = Wire(dut.transport, transport, FIRST_SEQ)
    try:
        _Script(wire, network, limits, dut.random(6)).run()
    except MismatchError as error:
        _renew(device, f" after this: {error}")
        raise
    _renew(device)
    golden.renew()
    layers = network.layout(limits)
    rows = range(layers[-1].weight_base + layers[-1].words * layers[-1].rows)
    actual, expected = (read_state(each, rows, range(layers[0].words)) for each in (device, golden))
    for name, state in expected.items():
        place = entry_of(f"{name} after the commands", *AXES.get(name, ("row", "lane")))
        require_equal(actual[name], state, place, digits=8 if name in AXES else 4)
    dut.details |= {"frames": wire.sent}
    return f"{wire.sent} frames, right and wrong, answered as they should be"


def _renew(device: Device, why: str = "") -> None:
    """Start a session for the following steps; LinkError if the device no longer answers."""
    try:
        device.renew()
    except OpzoError as error:
        raise LinkError(f"{device.name} has stopped answering{why}") from error


def _networks(limits: Limits) -> list[Network]:
    """Networks of one neuron, with slightly fewer inputs and classes than the device, then with much fewer."""
    return [
        Network((max(1, inputs), 1, classes), limits.steps)
        for classes in dict.fromkeys((max(2, limits.classes - 1), min(limits.classes, 4), 2))
        for inputs in (limits.inputs - 3, limits.inputs // 2, limits.inputs // 8, 1)
        if classes <= limits.classes
    ]


def _longest_read(limits: Limits) -> int:
    """Maximum number of weight rows in a reply."""
    return min(limits.rows, (LONGEST_REPLY - 1) // (2 * limits.lanes))


class _Script:
    """The frames, in one method per topic."""

    def __init__(self, wire: Wire, network: Network, limits: Limits, random: np.random.Generator) -> None:
        self.wire, self.network, self.limits, self.random = wire, network, limits, random
        self.nonce = int(random.integers(1 << 31))

    def run(self) -> None:
        """All parts in order."""
        self._sync("SYNC with a new nonce", FIRST_SEQ, self.nonce)
        for kind in (Input.FRAME, Input.SPIKES, Input.GRADED, 3):
            self._registers({Reg.INPUT: kind})
            self._events_repeated(kind)
            self._sessions(kind)
            self._bounds(kind)
        self._registers({Reg.INPUT: Input.FRAME})
        self._order()
        self._lengths()
        self._addresses()
        self._damage()
        self._map()
        self.wire.finish()

    def _sync(self, what: str, seq: int, nonce: int) -> None:
        """Send a SYNC, which starts a session if the nonce is new."""
        if nonce != self.nonce or self.wire.sent == 0:
            self.wire.seq = (seq + 1) % 256
        self.nonce = nonce
        self.wire.send(what, Frame(seq, Command.SYNC, nonce.to_bytes(4, "little")).encode())

    def _registers(self, values: dict[int, int]) -> None:
        for address, value in values.items():
            self.wire.call("WRITE_REGISTERS", Command.WRITE_REGISTERS, struct.pack("<BI", address, value))

    def _run(self, what: str, data: bytes, *, label: int = 0, flags: int = ALL, times: int = 1) -> None:
        self.wire.call(f"RUN {what}", Command.RUN, bytes((flags, label)) + data, times=times)

    def _events(self, what: str, data: bytes, times: int = 1) -> None:
        self.wire.call(f"EVENTS {what}", Command.EVENTS, data, times=times)

    def _counters(self, what: str) -> None:
        """Read all counters except those of cycles."""
        first, last = COUNTER + 2 * Counter.TRAIN_CYCLES, COUNTER + 2 * Counter.TEST_CYCLES + 2
        end = COUNTER + 2 * len(Counter)
        for begin, stop in ((COUNTER, first), (last, end)):
            self.wire.call(f"READ_REGISTERS, counters {what}", Command.READ_REGISTERS, bytes((begin, stop - begin)))

    def _events_repeated(self, kind: int) -> None:
        """Repeated EVENTS frames count once; a RESET, an error or a RUN discards the events."""
        one, end = _event(kind, 0), _ends(kind, 1)
        self._events("of one event", one, times=2)
        self._run("after EVENTS sent twice", end, times=2)
        self._counters("after EVENTS and RUN sent twice")
        self._events("of one event", one)
        self._events("of one more", one, times=REPLAY)
        self._run("after EVENTS sent often", one + end)
        self._events("to be discarded", one)
        self.wire.call("RESET", Command.RESET, times=2)
        self._run("after a RESET", end)
        self._events("to be discarded with the run", one)
        self._run("with a bad label", end, label=self.network.classes, times=2)
        self._run("after a bad label", end)
        self._run("with nothing left", end)
        self._events("that stay", one)
        self.wire.call("RESET of the wrong length", Command.RESET, b"\0")
        self._run("after a RESET that was refused", end)
        self._counters("after events discarded")

    def _sessions(self, kind: int) -> None:
        """A SYNC with the same nonce changes nothing; one with a new nonce starts a session."""
        one, end = _event(kind, 0), _ends(kind, 1)
        self._events("before SYNC", one)
        self._sync("SYNC with the same nonce", (self.wire.seq + 77) % 256, self.nonce)
        self.wire.send("SYNC of the wrong length", Frame(3, Command.SYNC, bytes(5)).encode())
        self._run("after SYNC with the same nonce", end)
        self._sync("SYNC with the same nonce", (self.wire.seq - 1) % 256, self.nonce)
        self._run("after SYNC with the same nonce again", one + end)
        before = Frame((self.wire.seq - 1) % 256, Command.RUN, bytes((ALL, 0)) + one + end).encode()
        self.wire.send("RUN repeated after it", before)
        self._events("before a new session", one)
        self._sync("SYNC with a new nonce", self.wire.seq, self.nonce ^ 1 << kind)
        for back in range(1, REPLAY + 1):
            frame = Frame((self.wire.seq - back) % 256, Command.RUN, b"\0\0").encode()
            self.wire.send("RUN of the session before", frame)
        self._run("in a new session", end)
        self._counters("after sessions")

    def _bounds(self, kind: int) -> None:
        """The last valid input, label and time step, and the first invalid ones; all flags."""
        inputs, classes, limits = self.network.inputs, self.network.classes, self.limits
        last, beyond, end = _event(kind, inputs - 1), _event(kind, inputs), _ends(kind, 1)
        good, bad = classes - 1, classes
        for flags in (0, *RunFlag, 0xFF):
            self._run(f"with flags {flags:#x}", _event(kind, 0) + last + end, label=good, flags=flags)
        for label in dict.fromkeys((bad, limits.classes, 0x40, 0x7F, 0x80, 0xFF)):
            self._run(f"with label {label}", last + end, label=label)
        self._run("with an event behind the inputs", beyond + end)
        self._run("with an event behind the inputs, and a bad label", beyond + end, label=bad)
        self._events("behind the inputs", beyond)
        self._run("after EVENTS behind the inputs", end)
        self._run("of no bytes", b"")
        self._run("of an odd byte", b"\1", flags=RunFlag.FRESH)
        if kind == Input.FRAME:
            self._run("with a value of 0", bytes((inputs - 1 & 0xFF, 0)) + b"\0\7")
            self._events("that only skip", b"\1\0")
            self._run("after a skip", b"\0\7")
            return
        # The maximum events of a chunk, and one more.
        rounds = (_event(kind, 0) * inputs + end) * (limits.events // inputs)
        for one in (0, 1):
            rest = limits.events % inputs + one
            full = rounds + _event(kind, 0) * rest + end
            for start in range(0, len(full), MAX_PAYLOAD - 4):
                self._events("of a full chunk", full[start : start + MAX_PAYLOAD - 4])
            self._run(f"of a full chunk{', and one more' * one}", b"")
        skips = bytes((END_STEPS - 1,)) if kind != Input.GRADED else bytes((END_STEPS - 1, 0))
        for what, codes in (
            ("of the most time steps", _ends(kind, limits.steps)),
            ("of one more", _ends(kind, limits.steps + 1)),
            ("of most ends", _ends(kind, MOST_ENDS)),
            ("of time steps one by one", end * limits.steps),
            ("with an event behind the last step", end + last),
            ("without an end", last),
            ("of two steps", last + end + last + end),
            ("with skips beyond all inputs", skips * 20 + _event(kind, 0) + end),
            ("with skips that no event follows", end + skips),
            ("with skips", _event(kind, 0) + skips + end),
        ):
            self._run(what, codes, label=good)
        if kind == Input.GRADED:
            self._run("with a value of 0", bytes((0, 0)) + end)
            self._run("with values for skips and ends", bytes((0, 9, END_STEPS, 7)))
        if kind != Input.GRADED and limits.steps > 1:
            self._events("of a step", last + end)
            self._run("of another one", _event(kind, inputs // 2) + _ends(kind, limits.steps - 1), flags=ALL)

    def _order(self) -> None:
        """Frames out of sequence: earlier numbers, with the same and other commands, and the number after the next."""
        wire = self.wire
        # The sequence numbers wrap to 0 among these frames.
        self._sync("SYNC with a new nonce", LAST_SEQ - 3, self.nonce ^ 1 << 16)
        for command, data in (
            (Command.READ_REGISTERS, bytes((Reg.CLASSES, 2))),
            (Command.RUN, bytes((ALL, 0, 0, 9))),
            (Command.WRITE_REGISTERS, struct.pack("<BI", Reg.ALPHA, 77)),
            (Command.EVENTS, b"\0\5"),
            (Command.READ_MEMORY, MEMORY.pack(Space.LFSR, 0, 2)),
            (Command.RUN, bytes((ALL, 1))),
        ):
            wire.call(command.name, command, data)
            for offset in (*range(-REPLAY - 1, 0), 1):
                for code in (command, Command.RUN, Command.RESET):
                    frame = Frame((wire.seq + offset) % 256, code, data if code == command else b"").encode()
                    wire.send(f"{code.name} whose seq is expected {offset:+}", frame)
        wire.call("RESET", Command.RESET)

    def _lengths(self) -> None:
        """Payloads of invalid sizes, and codes without a command."""
        row = 2 * self.limits.lanes
        for command, sizes in (
            (Command.READ_REGISTERS, (0, 1, 3)),
            (Command.WRITE_REGISTERS, (0, 1, 3, 4, 6)),
            (Command.READ_MEMORY, (0, 6, 8)),
            (Command.WRITE_MEMORY, (0, 4, 5, 5 + row - 1, 5 + row + 1)),
            (Command.EVENTS, (0, 1, 3)),
            (Command.RUN, (0, 1, 3, 4)),
            (Command.RESET, (1,)),
        ):
            for size in sizes:
                self.wire.call(f"{command.name} of {size} bytes", command, bytes(size), times=2 if size == 1 else 1)
        self.wire.call("READ_REGISTERS of none", Command.READ_REGISTERS, bytes((0, 0)))
        for code in (0, max(Command) + 1, 0x10, 0x40, 0x7F, REPLY | Command.RUN, 0xFF):
            self.wire.call(f"code 0x{code:02x}", code, b"\0\0")

    def _addresses(self) -> None:
        """First and last rows of each memory and the ones after; the longest reply."""
        limits = self.limits
        for space in (*Space, max(Space) + 1, 0xFF):
            end = rows_of(space, limits)
            name = space.name if isinstance(space, Space) else f"space {space}"
            places = [(end, 1), (max(end - 1, 0), 2), (0, end + 1), (0, 0), (1 << 20, 1), (1 << 31, 1), (2**32 - 1, 1)]
            # The earlier contents of MEMBRANE are unknown.
            if end and space != Space.MEMBRANE:
                places += [(end - 1, 1), (0, 1)]
            for first, rows in places:
                data = MEMORY.pack(space, first, min(rows, LONGEST_REPLY))
                self.wire.call(f"READ_MEMORY, {name}, {rows} rows from {first}", Command.READ_MEMORY, data)
            for first in (
                (end, 1 << 20, 2**32 - 1) if isinstance(space, Space) and space.writable else (0, max(0, end - 1))
            ):
                data = MEMORY_WRITE.pack(space, first) + bytes(2 * limits.lanes)
                self.wire.call(f"WRITE_MEMORY, {name}, row {first}", Command.WRITE_MEMORY, data)
        # Mostly bytes that need an escape.
        for row in range(min(2, limits.rows)):
            data = (
                self.random.choice((END, ESC, ESC_END, ESC_ESC, 0, 0xFF), 2 * limits.lanes).astype(np.uint8).tobytes()
            )
            self.wire.call("WRITE_MEMORY", Command.WRITE_MEMORY, MEMORY_WRITE.pack(Space.WEIGHTS, row) + data)
            self.wire.call("READ_MEMORY", Command.READ_MEMORY, MEMORY.pack(Space.WEIGHTS, row, 1))
        most = (LONGEST_REPLY - 1) // (2 * limits.lanes)
        for rows in (_longest_read(limits), most + 1, LONGEST_REPLY):
            data = MEMORY.pack(Space.WEIGHTS, 0, rows)
            self.wire.call(f"READ_MEMORY of {rows} rows", Command.READ_MEMORY, data)

    def _damage(self) -> None:
        """Incomplete and corrupt frames, noise, and the largest payload."""
        wire = self.wire
        seq = wire.seq
        good = Frame(seq, Command.WRITE_REGISTERS, struct.pack("<BI", Reg.RATE, 0x55)).encode()
        corrupt = bytearray(good)
        corrupt[6] ^= 0x10
        crc = bytearray(good)
        crc[-2] ^= 1
        for what, data in (
            ("a frame with a flipped bit", bytes(corrupt)),
            ("a frame with a wrong crc", bytes(crc)),
            ("a frame that is cut off", good[:9] + bytes((END,))),
            ("a frame of three bytes", bytes((END, 1, 2, 3, END))),
            ("nothing between two ends", bytes((END, END, END))),
            ("a bad escape", good[:5] + bytes((ESC, 0x11)) + good[5:]),
            ("an escape at the end", good[:-1] + bytes((ESC, END))),
            ("a frame with a byte too many", good[:-1] + b"\0" + bytes((END,))),
            ("a frame with a wrong length", _with_length(seq, 9)),
            ("a payload that is too long", Frame(seq, Command.EVENTS, bytes(MAX_PAYLOAD + 1)).encode()),
            ("a payload that is far too long", Frame(seq, Command.EVENTS, bytes(2 * MAX_PAYLOAD)).encode()),
        ):
            wire.send(what, data)
        wire.call("WRITE_REGISTERS after damage", Command.WRITE_REGISTERS, struct.pack("<BI", Reg.RATE, 0x5A))
        self._events("of the largest payload", bytes((1, 0)) * (MAX_PAYLOAD // 2))
        wire.call("RESET", Command.RESET)

    def _map(self) -> None:
        """Reads of the complete register map, unassigned addresses included; writes that wrap to address 0."""
        values = [0x5A5A5A5A] * (0x100 - COUNTER - 2 * len(Counter))
        data = struct.pack(f"<B{len(values)}I", COUNTER + 2 * len(Counter), *values)
        self.wire.call("WRITE_REGISTERS where none are", Command.WRITE_REGISTERS, data)
        for counter in (Counter.TRAIN_RUNS, Counter.INTEGRATE, Counter.DROPPED):
            self._registers({COUNTER + 2 * counter: 0x12345678, COUNTER + 2 * counter + 1: 0x12345678})
        self._counters("after they were written")
        first = COUNTER + 2 * len(Counter)
        self.wire.call("READ_REGISTERS behind the counters", Command.READ_REGISTERS, bytes((first, 0x100 - first)))
        wrapped = struct.pack("<B5I", 0xFE, 1, 2, 1, 3, 2)
        self.wire.call("WRITE_REGISTERS across the end", Command.WRITE_REGISTERS, wrapped)
        self.wire.call("READ_REGISTERS across the end", Command.READ_REGISTERS, bytes((0xF0, 0x10 + COUNTER)))


def _event(kind: int, address: int) -> bytes:
    """Encode an event; ``address`` counts from the previous event."""
    if kind == Input.FRAME:
        return bytes((255, 0)) * (address // 255) + bytes((address % 255, 200))
    units, rest = divmod(address, SKIP_UNIT)
    codes = []
    while units:
        part = min(units, END_STEPS - SKIP)
        codes.append(SKIP + part - 1)
        units -= part
    codes.append(rest)
    return bytes(codes) if kind != Input.GRADED else bytes(b for code in codes for b in (code, 200))


def _ends(kind: int, steps: int) -> bytes:
    """Encode the ends of ``steps`` time steps."""
    if kind == Input.FRAME:
        return b""
    code = END_STEPS + min(steps, MOST_ENDS) - 1
    return bytes((code, 0)) if kind == Input.GRADED else bytes((code,))


def _with_length(seq: int, length: int) -> bytes:
    """Encode a frame with a correct CRC and a wrong length."""
    body = struct.pack("<HBB", length, seq, Command.RESET)
    body += struct.pack("<I", zlib.crc32(body))
    body = body.replace(bytes([ESC]), bytes([ESC, ESC_ESC])).replace(bytes([END]), bytes([ESC, ESC_END]))
    return bytes([END]) + body + bytes([END])
