"""The sample store of the golden link: its commands, and runs from it against the same samples sent one by one."""

import struct
import zlib
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from desk import OK, Desk, u32

from opzo.sim.golden.core import GoldenCore
from opzo.sim.golden.link import GoldenLink
from opzo.spec.commands import (
    ANSWERS,
    MOST_ANSWERS,
    REPLY,
    REQUESTS,
    SETTING,
    STORE_COMMANDS,
    Command,
    RunFlag,
    Status,
    StoredFlag,
)
from opzo.spec.events import Chunk, encode_frames, encode_steps
from opzo.spec.frames import Frame
from opzo.spec.limits import Limits
from opzo.spec.memories import Space
from opzo.spec.network import Network
from opzo.spec.registers import COUNTER, Counter, Reg, network_registers
from opzo.spec.rules import Input, Rule
from opzo.spec.shuffle import order, shifts
from opzo.spec.store import record

STORE = 1 << 14
SHAPE = (6, 8)
TABLE = 64
CLASSES = 5
ALL = 2 * len(Counter)


def limits(network: Network) -> Limits:
    return replace(network.limits(4), store=STORE)


class Twin(Desk):
    """A golden link with a network."""

    def __init__(self, network: Network) -> None:
        self.golden = GoldenCore(limits(network))
        self.link = GoldenLink(self.golden)
        self.ask(Frame(3, Command.SYNC, u32(9)))
        rng = np.random.default_rng(4)
        for address, value in network_registers(network, self.golden.limits, Rule.OPZO).items():
            self.golden.write_register(address, value)
        for address, value in {Reg.ALPHA: 300, Reg.RATE: 40, Reg.BATCH: 1}.items():
            self.golden.write_register(address, value)
        for row in range(self.golden.limits.rows):
            self.golden.write_row(Space.WEIGHTS, row, rng.integers(-900, 900, 4).astype(np.int16).view(np.uint16))

    def fill(self, samples: list[tuple[tuple[bytes, ...], int]]) -> None:
        """Write samples behind a table at TABLE."""
        places, parts = [], []
        place = TABLE + 4 * len(samples)
        for runs, label in samples:
            parts.append(record(runs, label))
            places.append(place)
            place += len(parts[-1])
        image = struct.pack(f"<{len(places)}I", *places) + b"".join(parts)
        for begin in range(0, len(image), 1000):
            piece = image[begin : begin + 1000]
            assert self.call(Command.WRITE_STORE, u32(TABLE + begin) + piece) == OK
        assert self.call(Command.CHECK_STORE, u32(TABLE, len(image))) == OK + u32(zlib.crc32(image))
        assert self.call(Command.READ_STORE, u32(TABLE) + struct.pack("<H", len(image))) == OK + image

    def block(self, settings: tuple[tuple[int, int], ...] = (), **given: int) -> bytes:
        """Reply to RUN_STORED."""
        fields = [field.name for field in REQUESTS[Command.RUN_STORED].fields]
        block = dict.fromkeys(fields, 0) | {"table": TABLE, "count": 1} | given
        payload = REQUESTS[Command.RUN_STORED].pack(*(block[name] for name in fields))
        return self.call(Command.RUN_STORED, payload + b"".join(SETTING.pack(*setting) for setting in settings))

    def state(self) -> list[Any]:
        """All memories and registers."""
        rows = [
            self.golden.read_row(space, row).tolist()
            for space in Space
            for row in range(space.rows(self.golden.limits))
        ]
        return [rows, [self.golden.read_register(address) for address in range(256)]]


def answer(reply: bytes) -> tuple[dict[str, int], tuple[int, ...], list[tuple[int, ...]]]:
    """Fields of a reply, counters, and answers of samples."""
    assert reply[:1] == OK
    layout = ANSWERS[Command.RUN_STORED]
    fields = dict(zip([field.name for field in layout.fields], layout.unpack(reply[1:]), strict=True))
    words = struct.unpack(f"<{(len(reply) - 1 - layout.size) // 4}I", reply[1 + layout.size :])
    return fields, words[:ALL], list(zip(words[ALL::2], words[ALL + 1 :: 2], strict=True))


def frames(rng: np.random.Generator, count: int, shape: tuple[int, int] = SHAPE) -> np.ndarray:
    """Images with many zeros: uint8 (count, inputs)."""
    images = rng.integers(1, 256, (count, *shape)) * (rng.random((count, *shape)) < 0.4)
    return images.astype(np.uint8)


@pytest.mark.parametrize("seed", [1, 2, 0xFFFFFFFF, 0x80000000, 12345])
def test_every_sample_has_one_place(seed: int) -> None:
    for count in (*range(1, 70), 1000, 4096, 4097):
        numbers = order(seed, count)
        assert sorted(numbers.tolist()) == list(range(count))
        some = np.random.default_rng(seed).integers(0, count, 5)
        assert order(seed, count, some).tolist() == numbers[some].tolist()
    assert order(0, 5).tolist() == [0, 1, 2, 3, 4]


def test_orders_have_no_traces_of_the_numbers() -> None:
    """Correlation with the position, and differences of neighbours, are those of random orders (60 seeds)."""
    count, seeds = 20_000, np.random.default_rng(7).integers(1, 1 << 32, 60).tolist()
    correlations, chi = [], []
    for seed in seeds:
        numbers = order(seed, count)
        correlations.append(np.corrcoef(np.arange(count), numbers)[0, 1] * np.sqrt(count - 1))
        found = np.bincount(np.diff(numbers) % count * 64 // count, minlength=64)
        chi.append(((found - (count - 1) / 64) ** 2 / ((count - 1) / 64)).sum() / 63)
    # A sum of 60 squares of normal numbers; the mean of 60 chi-squares of 63 degrees.
    assert 0.6 < np.mean(np.square(correlations)) < 1.55
    assert abs(np.mean(chi) - 1) < 0.12


def test_all_shifts_are_equally_likely() -> None:
    for most in (1, 2, 3):
        moved = np.concatenate([shifts(seed, np.arange(500), most) for seed in range(1, 41)])
        assert np.abs(moved).max() == most
        found = np.bincount((moved[:, 0] + most) * (2 * most + 1) + moved[:, 1] + most, minlength=(2 * most + 1) ** 2)
        mean = len(moved) / len(found)
        assert ((found - mean) ** 2 / mean).sum() / (len(found) - 1) < 1.8
    assert not shifts(0, np.arange(9), 3).any()
    assert not shifts(5, np.arange(9), 0).any()


@pytest.mark.parametrize("train", [False, True])
@pytest.mark.parametrize("shift", [0, 3])
def test_blocks_of_frames_equal_single_runs(train: bool, shift: int) -> None:
    rng = np.random.default_rng(11)
    network = Network(f"{SHAPE[0] * SHAPE[1]}-9-{CLASSES}")
    images, labels = frames(rng, 13), rng.integers(0, CLASSES, 13).tolist()
    stored, single = Twin(network), Twin(network)
    payloads = encode_frames(images.reshape(13, -1))
    stored.fill([((payload,), label) for payload, label in zip(payloads, labels, strict=True)])
    seed, total, correct = 77, 0, 0
    numbers, moves = order(seed, 13), shifts(seed, np.arange(13), shift)
    answers = []
    for number, (down, right) in zip(numbers.tolist(), moves.tolist(), strict=True):
        moved = np.zeros((SHAPE[0] + 6, SHAPE[1] + 6), np.uint8)
        moved[3 + down :, 3 + right :][: SHAPE[0], : SHAPE[1]] = images[number]
        (payload,) = encode_frames(moved[3 : 3 + SHAPE[0], 3 : 3 + SHAPE[1]].reshape(1, -1))
        flags = RunFlag.TRAIN if train else RunFlag(0)
        single.golden.write_register(Reg.RATE, 17)
        reply = single.call(Command.RUN, bytes((flags, labels[number])) + payload)
        prediction, loss = ANSWERS[Command.RUN].unpack(reply[1:])
        answers.append((prediction, loss))
        total, correct = total + loss, correct + (prediction == labels[number])
    flags = (StoredFlag.TRAIN if train else StoredFlag(0)) | StoredFlag.ANSWERS
    shape = {"height": SHAPE[0], "row": SHAPE[1], "pixel": 1, "shift": shift}
    found: list[tuple[int, ...]] = []
    sums = dict.fromkeys(("samples", "correct", "loss"), 0)
    for first, count in ((0, 5), (5, 1), (6, 7)):
        fields, counters, some = answer(
            stored.block(((Reg.RATE, 17),), flags=flags, samples=13, seed=seed, first=first, count=count, **shape)
        )
        found += some
        assert (fields["end"], fields["loss_high"]) == (0, 0)
        sums = {name: value + fields[name] for name, value in sums.items()}
        assert counters == tuple(stored.golden.read_register(COUNTER + k) for k in range(ALL))
    assert found == answers
    assert sums == {"samples": 13, "correct": correct, "loss": total}
    assert stored.state() == single.state()


@pytest.mark.parametrize("kind", [Input.SPIKES, Input.GRADED])
def test_blocks_of_events_equal_single_runs(kind: Input) -> None:
    """Samples of one to three chunks, on a map with two channels, shifted."""
    rng = np.random.default_rng(5)
    height, width, channels = 5, 4, 2
    network = Network(f"{height * width * channels}-8-{CLASSES}", input=kind, steps=8)
    steps = 1 if kind is Input.GRADED else 3
    stored, single = Twin(network), Twin(network)
    samples, moves = [], shifts(31, np.arange(6), 2)
    for _ in range(6):
        lists = [
            [np.flatnonzero(rng.random(height * width * channels) < 0.3) for _ in range(steps)]
            for _ in range(int(rng.integers(1, 4)))
        ]
        values = [[rng.integers(1, 256, len(step)) for step in chunk] for chunk in lists]
        chunks = [
            Chunk.of_steps(chunk, value if kind is Input.GRADED else None)
            for chunk, value in zip(lists, values, strict=True)
        ]
        samples.append((tuple(encode_steps(chunk, graded=kind is Input.GRADED) for chunk in chunks), chunks))
    stored.fill([(runs, n % CLASSES) for n, (runs, _) in enumerate(samples)])
    for number, (down, right) in zip(order(31, 6).tolist(), moves.tolist(), strict=True):
        flags = RunFlag.TRAIN | RunFlag.FRESH
        for chunk in samples[number][1]:
            row, column = np.divmod(chunk.addresses, width * channels)
            row, column = row + down, column + right * channels
            kept = (row >= 0) & (row < height) & (column >= 0) & (column < width * channels)
            ends = [int(kept[:end].sum()) for end in chunk.ends]
            moved = Chunk((row * width * channels + column)[kept], chunk.values[kept], np.array(ends))
            data = encode_steps(moved, graded=kind is Input.GRADED)
            single.call(Command.RUN, bytes((flags, number % CLASSES)) + data)
            flags = RunFlag.TRAIN
    shape = {"height": height, "row": width * channels, "pixel": channels, "shift": 2}
    fields, _, none = answer(stored.block(flags=StoredFlag.TRAIN, samples=6, seed=31, count=6, **shape))
    assert (fields["end"], fields["samples"], none) == (0, 6, [])
    assert stored.state() == single.state()


def test_a_bad_sample_ends_the_block_with_its_reason() -> None:
    network = Network(f"48-9-{CLASSES}")
    (good,) = encode_frames(frames(np.random.default_rng(0), 1).reshape(1, -1))
    for bad, status in (
        ((bytes((200, 1)),), Status.BAD_EVENT),
        ((b"\0",), Status.BAD_LENGTH),
        ((bytes((0, 1)) * 70,), Status.BAD_EVENT),
    ):
        desk = Twin(network)
        desk.fill([((good,), 1), (bad, 1), ((good,), 1)])
        fields, _, _ = answer(desk.block(flags=StoredFlag.TRAIN, samples=3, count=3))
        assert (fields["end"], fields["samples"]) == (status, 1)
        assert desk.golden.read_register(Reg.SAMPLES) == 1
    desk = Twin(network)
    desk.fill([((good,), CLASSES)])
    assert answer(desk.block(samples=1))[0]["end"] == Status.BAD_LABEL
    # Beyond the store: the table's entry, a header without end, and an odd address.
    for address in (STORE, STORE - 2, 0xFFFFFFFE, 0x101):
        desk.call(Command.WRITE_STORE, u32(TABLE, address))
        assert answer(desk.block(samples=1))[0]["end"] == Status.BAD_ADDRESS


@pytest.mark.parametrize(
    ("given", "status"),
    [
        ({"count": 0}, Status.BAD_BLOCK),
        ({"samples": 4, "first": 3, "count": 2}, Status.BAD_BLOCK),
        ({"samples": 4, "first": 0xFFFFFFFF, "count": 1}, Status.BAD_BLOCK),
        ({"samples": 4, "shift": 4}, Status.BAD_BLOCK),
        ({"samples": 40, "count": MOST_ANSWERS + 1, "flags": int(StoredFlag.ANSWERS)}, Status.BAD_BLOCK),
        ({"table": 1, "samples": 4}, Status.BAD_ADDRESS),
        ({"table": STORE, "samples": 1}, Status.BAD_ADDRESS),
        ({"samples": 0x40000000}, Status.BAD_ADDRESS),
    ],
)
def test_blocks_that_cannot_be_are_refused(given: dict[str, int], status: Status) -> None:
    desk = Twin(Network(f"48-9-{CLASSES}"))
    before = desk.state()
    assert desk.block(((Reg.RATE, 99),), **given) == bytes((status,))
    assert desk.state() == before


def test_sizes_and_addresses_are_checked() -> None:
    desk = Twin(Network(f"48-9-{CLASSES}"))
    long, empty = bytes((Status.BAD_LENGTH,)), bytes((Status.BAD_ADDRESS,))
    for data in (b"", u32(0), u32(0) + b"1", u32(0) + b"123"):
        assert desk.call(Command.WRITE_STORE, data) == long
    assert desk.call(Command.WRITE_STORE, u32(STORE - 2) + b"1234") == empty
    assert desk.call(Command.WRITE_STORE, u32(1) + b"12") == empty
    for count in (0, 3, 0xFFFF):
        assert desk.call(Command.READ_STORE, u32(0) + struct.pack("<H", count)) == long
    assert desk.call(Command.READ_STORE, u32(STORE) + struct.pack("<H", 2)) == empty
    for count in (0, 5):
        assert desk.call(Command.CHECK_STORE, u32(0, count)) == long
    assert desk.call(Command.CHECK_STORE, u32(2, STORE)) == empty
    assert desk.call(Command.CHECK_STORE, u32(0, STORE)) == OK + u32(zlib.crc32(bytes(STORE)))
    size = REQUESTS[Command.RUN_STORED].size
    for wrong in (size - 1, size + 1, size + SETTING.size - 1):
        assert desk.call(Command.RUN_STORED, bytes(wrong)) == long


def test_a_device_without_a_store_does_not_know_its_commands() -> None:
    desk = Desk().begin()
    for command in STORE_COMMANDS:
        assert desk.call(command, bytes(30)) == bytes((Status.BAD_COMMAND,))


def test_a_repeated_block_is_not_run_again() -> None:
    desk = Twin(Network(f"48-9-{CLASSES}"))
    (good,) = encode_frames(frames(np.random.default_rng(0), 1).reshape(1, -1))
    desk.fill([((good,), 1)])
    seq = desk.link.expected
    first = desk.block(samples=1, flags=StoredFlag.TRAIN)
    again = desk.ask(Frame(seq, Command.RUN_STORED, b"other"))
    assert again == Frame(seq, Command.RUN_STORED | REPLY, first)
    assert desk.golden.read_register(Reg.SAMPLES) == 1
