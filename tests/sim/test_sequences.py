"""One chip, many networks: golden model, compiled model and gateware agree in all readable state."""

import struct
from collections.abc import Iterator
from itertools import islice

import numpy as np
import pytest
from small_chip import SMALL_CHIP

from opzo.sim.benches.sequences import GivenUp, Rows, Run, Sequence, Settings, Step
from opzo.sim.fast.core import FastCore
from opzo.sim.golden.core import GoldenCore, RunResult
from opzo.sim.model_transport import ModelTransport
from opzo.sim.rtl.transport import RtlTransport
from opzo.spec.commands import REPLY, Command
from opzo.spec.frames import MAX_PAYLOAD, Frame, Unescape
from opzo.spec.limits import Limits
from opzo.spec.memories import Space
from opzo.spec.registers import COUNTER, TIMING_COUNTERS, Counter

"""The chip that other tests have compiled."""
MODELS = [
    SMALL_CHIP,
    Limits(lanes=16, rows=600, inputs=9, words=3, classes=40, steps=6, weight_bits=12, layers=5),
    Limits(lanes=4, rows=4096, inputs=256, words=256, classes=12, layers=4, gradients=1024, blocks=128, block=4),
]
CONVOLUTIONS = [
    MODELS[-1],
    Limits(8, 2000, 300, 300, 20, 5, 12, 5, gradients=700, blocks=300, block=32),
    Limits(
        lanes=16, rows=4000, inputs=200, words=200, classes=33, steps=8, layers=3, gradients=2000, blocks=60, block=2
    ),
]
CHIPS = [
    SMALL_CHIP,
    Limits(lanes=4, rows=300, inputs=3, words=5, classes=10, steps=7, weight_bits=12, layers=5, lanes_per_group=4),
    Limits(lanes=8, rows=400, inputs=2, words=4, classes=64, steps=8, weight_bits=16, layers=1, lanes_per_group=8),
    Limits(lanes=16, rows=500, inputs=40, words=4, classes=20, steps=5, weight_bits=16, lanes_per_group=4),
    Limits(lanes=32, rows=300, inputs=20, words=3, classes=64, steps=8, weight_bits=12, lanes_per_group=8),
    Limits(lanes=64, rows=200, inputs=7, words=3, classes=64, steps=3, weight_bits=16, lanes_per_group=8),
]
CORES = {"golden": GoldenCore, "fast": FastCore}
BATCH = 5
"""Most steps that are on their way at once."""
Snapshot = dict[str, np.ndarray]
TIMED = [COUNTER + 2 * counter + half for counter in TIMING_COUNTERS for half in range(2)]
REGISTERS = 255
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
    """Data of a reply, but for the clock."""
    return frame.data[: -CLOCK_BYTES if frame.code == Command.SYNC | REPLY else None]


class Wire:
    """A device at the bytes of its link; always in a session."""

    def __init__(self, name: str, transport: ModelTransport | RtlTransport, limits: Limits) -> None:
        self.name, self.limits, self._transport = name, limits, transport
        self._seq, self._nonce, self._unescape = 0, 0, Unescape()
        self._sent = b""
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

    def do(self, step: Step, rng: np.random.Generator) -> None:
        """Send a step."""
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
        else:
            self._give_up(step, rng)

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


def run_on_wires(wires: list[Wire], seed: int, networks: int) -> None:
    """The same steps on all devices, the golden model first."""
    sequence = Sequence(seed, wires[0].limits)
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
        expected = golden.replies()
        for wire in others:
            actual = wire.replies()
            different = [pair for pair in zip(actual, expected, strict=False) if pair[0] != pair[1]]
            assert actual == expected, (
                f"{where}: (seq, code, reply) of {wire.name} and golden: {different[:1]}, {batch[-1]}"
            )
        expected_state = golden.snapshot()
        for wire in others:
            compare(wire.name, wire.snapshot(), expected_state, where, batch[-1])


def snapshot_of(core: GoldenCore) -> Snapshot:
    """All that can be read of a model, and what is kept for the next run."""
    values = {
        name: getattr(core, name)
        for name in ("memory", "gradients", "membrane", "negative", "trace", "history", "input_trace", "input_history")
    }
    counters = [core.counters[counter] for counter in Counter]
    values |= {"LFSRs": core.lfsrs.states, "registers": list(core.registers.values()), "counters": counters}
    return {name: np.array(value) for name, value in values.items()}


def do(core: GoldenCore, step: Step) -> RunResult | None:
    """A step on a model."""
    if isinstance(step, Settings):
        for address in sorted(step.values):
            core.write_register(address, step.values[address])
    elif isinstance(step, Rows):
        for row, data in enumerate(step.data, step.first):
            core.write_row(step.space, row, data)
    elif isinstance(step, Run):
        return core.run(step.chunk, step.label, step.flags)
    return None


def fill_empty_lanes(core: GoldenCore, rng: np.random.Generator | None) -> None:
    """Noise, or 0, in the memories' lanes that hold no neuron of the network."""
    *hidden, readout = core.layers()
    for layer in (*hidden, readout):
        empty = np.arange(layer.words * core.limits.lanes).reshape(layer.words, 1, -1) >= layer.neurons
        for rows in [core.weights(layer), *([] if layer is readout else [core.entries(layer)])]:
            places = np.broadcast_to(empty, rows.shape)
            rows[places] = 0 if rng is None else rng.integers(-32768, 32768, places.sum())


def run_on_models(limits: Limits, seed: int, networks: int) -> None:
    """The same steps on golden model and compiled model."""
    golden, fast = GoldenCore(limits), FastCore(limits)
    sequence = Sequence(seed, limits)
    for number, step in enumerate(sequence):
        if sequence.networks > networks:
            break
        where = f"seed {seed}, step {number}, network {sequence.network}"
        answers = [do(core, step) for core in (golden, fast)]
        assert answers[0] == answers[1], f"{where}: answers {answers}, {step}"
        compare("fast", snapshot_of(fast), snapshot_of(golden), where, step)


@pytest.fixture
def wires(request: pytest.FixtureRequest) -> Iterator[list[Wire]]:
    """Golden model, compiled model and gateware of a chip."""
    limits: Limits = request.param
    rtl = RtlTransport(limits)
    models = [Wire(name, ModelTransport(core(limits)), limits) for name, core in CORES.items()]
    yield [*models, Wire("rtl", rtl, limits)]
    rtl.close()


@pytest.mark.parametrize("limits", MODELS, ids=str)
def test_models_agree_whatever_came_before(limits: Limits) -> None:
    for seed in range(5):
        run_on_models(limits, seed, 20)


@pytest.mark.parametrize("wires", [SMALL_CHIP], ids=str, indirect=True)
def test_chip_agrees_whatever_came_before(wires: list[Wire]) -> None:
    for seed in range(3):
        run_on_wires(wires, seed, 40)


@pytest.mark.slow
@pytest.mark.parametrize("limits", CHIPS + CONVOLUTIONS, ids=str)
def test_models_agree_whatever_came_before_for_long(limits: Limits) -> None:
    for seed in range(100, 150):
        run_on_models(limits, seed, 40)


@pytest.mark.slow
@pytest.mark.parametrize("wires", CHIPS, ids=str, indirect=True)
def test_chip_agrees_whatever_came_before_for_long(wires: list[Wire]) -> None:
    for seed in range(100, 110):
        run_on_wires(wires, seed, 40)


def test_lanes_that_hold_no_neuron_do_not_matter() -> None:
    empty, noisy = GoldenCore(SMALL_CHIP), GoldenCore(SMALL_CHIP)
    rng = np.random.default_rng(6)
    for number, step in enumerate(islice(Sequence(6, SMALL_CHIP), 600)):
        if isinstance(step, Run):
            fill_empty_lanes(empty, None)
            fill_empty_lanes(noisy, rng)
        where = f"seed 6, step {number}"
        assert do(empty, step) == do(noisy, step), f"answers, {where}, {step}"
        if isinstance(step, Run):
            fill_empty_lanes(empty, None)
            fill_empty_lanes(noisy, None)
        states = [snapshot_of(core) for core in (noisy, empty)]
        for state in states:
            del state["membrane"]
        compare("with noise", *states, where, step)


def test_what_differs_first_is_named() -> None:
    expected = {"WEIGHTS": np.zeros((3, 4)), "LFSR": np.zeros((2, 4))}
    actual = {name: values.copy() for name, values in expected.items()}
    compare("rtl", actual, expected, "step 7")
    actual["LFSR"][0] = 1
    actual["WEIGHTS"][2, 1:3] = 5
    with pytest.raises(
        AssertionError, match=r"step 7: WEIGHTS, address 2, lane 1: rtl has 5.0, golden 0.0; 2 of 12 differ"
    ):
        compare("rtl", actual, expected, "step 7")
