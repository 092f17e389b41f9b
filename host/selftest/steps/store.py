"""Sample store test: its memory, then blocks of stored samples on the device and on the golden model."""

import zlib
from itertools import product
from math import isqrt

import numpy as np

from opzo.host.driver.device import Device
from opzo.host.driver.sample import Sample
from opzo.host.driver.sample_store import StoredSet, store_image, upload
from opzo.host.driver.stored_block import BlockResult, ImageShape, StoredBlock
from opzo.host.selftest.device_under_test import DeviceUnderTest, golden_device, prepare
from opzo.host.selftest.experiment import read_state
from opzo.host.selftest.mismatch import MismatchError, entry_of, require_equal
from opzo.host.selftest.steps.neurons import first_that_fits
from opzo.spec.commands import MOST_ANSWERS
from opzo.spec.errors import LinkError, NetworkError
from opzo.spec.events import Chunk, encode_frames, encode_steps
from opzo.spec.network import Network
from opzo.spec.registers import TIMING_COUNTERS, Counter, Reg
from opzo.spec.rules import Input, Rule
from opzo.spec.shuffle import MAX_SHIFT

SIDE = 8
"""Most pixels of a side of an image."""
SAMPLES = 40
PART = 1 << 12
"""Bytes that are written with random contents."""
DENSITY = 0.3


def store_step(dut: DeviceUnderTest) -> str:
    """Write and read the store, then train and test from it, where the device has one that is large enough."""
    room = dut.limits.store
    if not room:
        return "not done: the device was built without a sample store"
    _memory(dut.device, room, dut.random(7, 0))
    golden, samples = golden_device(dut.limits), 0
    for number, kind in enumerate((Input.FRAME, Input.SPIKES, Input.GRADED)):
        try:
            samples += _runs(dut, golden, kind, dut.random(7, 1 + number))
        except NetworkError:
            dut.lacks(f"samples of {kind.name.lower()} from the store")
    dut.details |= {"bytes": room, "samples": samples}
    return f"{room:,} bytes; {samples} samples in shuffled blocks, with registers and shifts"


def _memory(device: Device, room: int, random: np.random.Generator) -> None:
    """Each address bit by a word of its own, then a part with random bytes."""
    places = sorted({0, room - 2, *(1 << bit for bit in range(1, room.bit_length()) if (1 << bit) + 2 <= room)})
    words = {place: bytes((1 + number, 0xFF - number)) for number, place in enumerate(places)}
    for place, word in words.items():
        device.write_store(place, word)
    for place, word in words.items():
        found = device.read_store(place, 2)
        if found != word:
            raise MismatchError(f"sample store, bytes at {place:#x}", word.hex(" "), found.hex(" "))
    size = min(PART, room & ~1)
    begin = int(random.integers(0, (room - size) // 2 + 1)) * 2
    part = random.bytes(size)
    device.write_store(begin, part)
    found = device.read_store(begin, size)
    actual, expected = (np.frombuffer(data, np.uint8) for data in (found, part))
    require_equal(actual, expected, lambda index: f"sample store, byte {begin + index[0]:#x}", digits=2)
    crc = device.check_store(begin, size)
    if crc != zlib.crc32(part):
        raise MismatchError(f"check sum of {size} bytes of the store", f"{zlib.crc32(part):#010x}", f"{crc:#010x}")


def _runs(dut: DeviceUnderTest, golden: Device, kind: Input, random: np.random.Generator) -> int:
    """Train and test on stored samples on both devices, and compare; number of samples."""
    limits = dut.limits
    side = min(SIDE, isqrt(limits.inputs))
    steps = 1 if kind is Input.GRADED else limits.steps
    network = first_that_fits(
        limits,
        (
            Network((side * side, neurons, classes), steps, input=kind)
            for neurons, classes in product((9, 4, 1), (10, 3, 2))
            if classes <= limits.classes
        ),
    )
    samples = [_sample(network, limits.events, random) for _ in range(SAMPLES)]
    image = store_image([("self-test", samples, SAMPLES)], limits.store)
    if image is None:
        raise NetworkError("the sample store is too small")
    (place,), shape = image.sets, ImageShape(side, side, 1)
    seed = int(random.integers(1, 1 << 32))
    results = []
    for device in (dut.device, golden):
        prepare(device, network, Rule.OPZO, dut.seed)
        upload(device, image)
        try:
            results.append(list(device.run_stored(_blocks(place, seed, shape))))
        except LinkError as error:
            raise MismatchError(f"blocks of {kind.name.lower()} from the store", "their results", str(error)) from None
    what = f"stored samples of {kind.name.lower()}"
    for number, (actual, expected) in enumerate(zip(*results, strict=True)):
        require_equal(_row(actual), _row(expected), entry_of(f"block {number} of {what}", "figure"), digits=8)
        require_equal(actual.answers, expected.answers, entry_of(f"block {number} of {what}", "sample", "answer"))
    layers = network.layout(limits)
    rows = range(layers[-1].weight_base + layers[-1].words * layers[-1].rows)
    states = [read_state(device, rows, range(layers[0].words)) for device in (dut.device, golden)]
    for name, state in states[1].items():
        axes = ("number",) if state.ndim == 1 else ("row", "lane")
        require_equal(states[0][name], state, entry_of(f"{name} after {what}", *axes), digits=8)
    return sum(result.samples for result in results[0])


def _blocks(place: StoredSet, seed: int, shape: ImageShape) -> list[StoredBlock]:
    """Training blocks of all samples, shuffled and shifted, with other step sizes; then a test with answers."""
    train = [
        StoredBlock(
            *(place.table, place.samples, first, count, seed),
            train=True,
            shift=MAX_SHIFT,
            shape=shape,
            registers={Reg.RATE: 30 + first},
        )
        for first, count in ((0, 1), (1, 26), (27, 13))
    ]
    return [*train, StoredBlock(place.table, place.samples, 0, min(MOST_ANSWERS, place.samples), answers=True)]


def _row(result: BlockResult) -> np.ndarray:
    """Figures of a block, but for cycles."""
    counters = np.delete(result.counters, [int(counter) for counter in TIMING_COUNTERS])
    assert len(counters) == len(Counter) - len(TIMING_COUNTERS)
    return np.array([result.samples, result.correct, result.loss, *counters.tolist()], np.int64)


def _sample(network: Network, most: int, random: np.random.Generator) -> Sample:
    """A sample with random events, at most ``most`` a chunk; of spikes one or two chunks."""
    label = int(random.integers(network.classes))
    if network.input is Input.FRAME:
        pixels = random.integers(1, 256, (1, network.inputs)) * (random.random((1, network.inputs)) < DENSITY)
        return Sample(tuple(encode_frames(pixels.astype(np.uint8))), label)
    chunks = []
    for _ in range(int(random.integers(1, 3))):
        spikes = random.random((network.steps, network.inputs)) < DENSITY
        # A chunk may have so many.
        spikes.reshape(-1)[np.flatnonzero(spikes)[most:]] = False
        steps = [np.flatnonzero(step) for step in spikes]
        values = [random.integers(1, 256, len(step)) for step in steps]
        chunk = Chunk.of_steps(steps, values if network.input.graded else None)
        chunks.append(encode_steps(chunk, graded=network.input.graded))
    return Sample(tuple(chunks), label)
