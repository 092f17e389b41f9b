"""A link to a device in this process, over a line that may spoil what passes, and runs to send over it."""

import struct
from collections.abc import Callable

import numpy as np

from opzo.host.driver.link import Link
from opzo.host.driver.transport import Connection, Transport
from opzo.sim.benches.fake_core import FakeCore
from opzo.sim.golden.link import GoldenLink
from opzo.spec.commands import RunFlag
from opzo.spec.events import Chunk, encode_frame_pairs, encode_steps
from opzo.spec.limits import Limits
from opzo.spec.registers import Reg
from opzo.spec.rules import Input

LIMITS = Limits(lanes=4, rows=64, inputs=4000, words=8, classes=4)
PATIENCE = 0.02


def fake_core(kind: Input = Input.FRAME) -> FakeCore:
    core = FakeCore(LIMITS)
    core.write_register(Reg.INPUT, kind)
    core.write_register(Reg.INPUTS, LIMITS.inputs)
    core.write_register(Reg.CLASSES, LIMITS.classes)
    return core


class Line:
    """A transport to a device in this process; ``to`` and ``back`` may spoil what passes, reads come in bits."""

    def __init__(self, device: GoldenLink, *, to: Callable[[bytes], bytes], back: Callable[[bytes], bytes]) -> None:
        self.device, self.to, self.back = device, to, back
        self.arrived = b""
        self.closed = False

    def write(self, data: bytes) -> None:
        self.arrived += self.back(self.device.feed(self.to(data)))

    def read(self, timeout: float) -> bytes:
        data, self.arrived = self.arrived[:7], self.arrived[7:]
        return data

    def close(self) -> None:
        self.closed = True


def clean(data: bytes) -> bytes:
    return data


def connect(open_line: Callable[[], Transport], *, reopens: bool = False, patience: float = PATIENCE) -> Link:
    return Link(Connection("serial:/dev/test", open_line, patience, reopens))


def clean_link(patience: float = PATIENCE) -> tuple[Link, FakeCore, Line]:
    core = fake_core()
    line = Line(GoldenLink(core), to=clean, back=clean)
    return connect(lambda: line, patience=patience), core, line


Given = list[tuple[RunFlag, int, Chunk]]
"""Flags, label and input of some runs."""


def runs(count: int, random: np.random.Generator, kind: Input = Input.FRAME) -> Given:
    """Runs of which some need several frames."""
    result = []
    for index in range(count):
        size = (0, 3, 40, 511, 512, 1100, 1700)[index % 7]
        steps = index % LIMITS.steps + 1 if kind is Input.SPIKES else 1
        lists = [np.sort(random.permutation(4000)[: size // steps]).tolist() for _ in range(steps)]
        values = [random.integers(1, 256, len(step)).tolist() for step in lists]
        chunk = Chunk.of_steps(lists, None if kind is Input.SPIKES else values)
        if kind is Input.FRAME:
            chunk = Chunk(chunk.addresses, chunk.values)
        flags = RunFlag.TRAIN | RunFlag.FRESH * (index % 5 == 0) | RunFlag.DECISION * (index % 3 == 0)
        result.append((flags, index % 4, chunk))
    return result


def encoded(chunk: Chunk, kind: Input) -> bytes:
    if kind is Input.FRAME:
        return encode_frame_pairs(chunk.addresses, chunk.values)
    return encode_steps(chunk, graded=kind is Input.GRADED)


def run_all(link: Link, given: Given, kind: Input = Input.FRAME) -> list[tuple[int, int]]:
    started = [link.start_run(flags, label, encoded(chunk, kind)) for flags, label, chunk in given]
    return [struct.unpack("<BI", link.finish(exchange)) for exchange in started]


def spoiler(random: np.random.Generator, rate: float) -> Callable[[bytes], bytes]:
    """Change, drop, repeat or insert bytes now and then, or repeat all of them."""

    def spoil(data: bytes) -> bytes:
        result = bytearray()
        for byte in data:
            kind = random.integers(4) if random.random() < rate else 4
            result += (bytes((byte ^ 0x10,)), b"", bytes((byte, byte)), bytes((byte, 0xC0)), bytes((byte,)))[kind]
        return bytes(result) * (2 if random.random() < rate else 1)

    return spoil


def assert_each_ran_once(core: FakeCore, given: Given, answers: list[tuple[int, int]], twin: FakeCore) -> None:
    """The core did the runs in order, each once, and the host got what the core answers to that."""
    results = [twin.run(chunk, label, flags) for flags, label, chunk in given]
    assert core.runs == twin.runs
    assert answers == [(result.prediction, result.loss) for result in results]
