"""Two equal devices, one behind a bad line, that get the same work and must end in the same state."""

from dataclasses import replace
from random import Random

import numpy as np

from opzo.host.driver.device import Device
from opzo.host.driver.line_quality import LineQuality
from opzo.host.driver.link import Link
from opzo.host.driver.sample import Result, Sample
from opzo.host.driver.sample_store import store_image, upload
from opzo.host.driver.state import State
from opzo.host.driver.stored_block import StoredBlock
from opzo.host.driver.transport import Connection
from opzo.sim.golden.core import GoldenCore
from opzo.sim.model_transport import fast
from opzo.spec.events import Chunk, encode_events, encode_steps
from opzo.spec.network import Network
from opzo.spec.registers import COUNTER, Counter, Reg
from opzo.spec.rules import Input, Rule
from storms.line import PATIENCE, Clock, StormLine

LANES = 4
ARRAYS = ("memory", "gradients", "membrane", "negative", "trace", "history", "input_trace", "input_history")
SUMS = ("last_outputs", "output_sums", "last_intermediate")
CYCLES = {Counter.TRAIN_CYCLES, Counter.TEST_CYCLES}
STORE = 1 << 17
"""Bytes of the sample stores."""
MOST_OF_BLOCKS = 1e-3
"""Largest share of damaged bytes at which samples are also stored: the reply to a block has 240 bytes."""
MOST_SAMPLES = 40
"""Samples in one piece of work."""
SETTINGS: dict[int, int] = {Reg.ALPHA: 40, Reg.RATE: 30, Reg.BATCH: 2, Reg.CONVOLUTION_RATE: 300}


class Twins:
    """A device behind a bad line, and one behind a good line that gets the same work.

    Parameters
    ----------
    network : Network
    clock : Clock
    seed : int
    kinds, rate, unit : tuple of str, float, str
        Of the bad line (`storms.line.StormLine`). One that dies is opened again.

    Attributes
    ----------
    bad, good : Device
    line : StormLine
    samples : int
        Training samples whose results have come.
    """

    def __init__(
        self, network: Network, clock: Clock, seed: int, kinds: tuple[str, ...], rate: float, unit: str
    ) -> None:
        self.network, self.random, self.samples = network, Random(seed), 0
        self._blocks = unit != "bytes" or rate <= MOST_OF_BLOCKS
        limits = replace(network.limits(LANES), store=STORE)
        self.line = StormLine(fast(limits), clock, Random(seed + 1), kinds, rate, unit)
        self.bad = open_line(self.line, reopens=unit == "operations")
        self._clean = fast(limits)
        self.good = Device("good", Link(Connection.over(self._clean, "good")))
        for device in (self.bad, self.good):
            device.configure(network, Rule.OPZO)
            State.initial(network, Rule.OPZO, seed, limits).write(device)
            device.write_registers(SETTINGS)
        self.line.active = True

    @property
    def quality(self) -> LineQuality:
        """Frames sent and received over the bad line, and how many of them the driver found damaged."""
        return self.bad._link.quality

    def sample(self) -> Sample:
        """A random sample."""
        random, network = self.random, self.network
        label = random.randrange(network.classes)
        if network.input is Input.FRAME:
            share = random.choice((0.1, 0.5, 1.0))
            pairs = [(at, random.randrange(1, 256)) for at in range(network.inputs) if random.random() < share]
            return Sample((encode_events(pairs),), label)
        return Sample(tuple(self._chunk() for _ in range(random.randrange(1, 4))), label)

    def _chunk(self) -> bytes:
        steps = self.random.randrange(1, 9)
        lists = [[at for at in range(self.network.inputs) if self.random.random() < 0.2] for _ in range(steps)]
        return encode_steps(Chunk.of_steps(lists), graded=False)

    def work(self) -> str:
        """Do a random piece of work on both; what differs in the answers, '' if nothing does."""
        choice, count = self.random.random(), self.random.randrange(1, MOST_SAMPLES)
        if choice < 0.1 and self._blocks:
            return self._stored(count)
        if choice < 0.75:
            samples = [self.sample() for _ in range(count)]
            train, outputs = self.random.random() < 0.9, self.random.random() < 0.3
            answers = [list(device.run(samples, train=train, outputs=outputs)) for device in (self.bad, self.good)]
            if train:
                self.samples += len(answers[0])
            same = list(map(_plain, answers[0])) == list(map(_plain, answers[1]))
            return "" if same and len(answers[0]) == count else "results"
        if choice < 0.85:
            registers: dict[int, int] = {Reg.ALPHA: self.random.randrange(60), Reg.RATE: self.random.randrange(60)}
            for device in (self.bad, self.good):
                device.write_registers(registers)
            return ""
        if choice < 0.95:
            both = [device.counters() for device in (self.bad, self.good)]
            return "" if both[0] == both[1] else "counters"
        states = [State.read(device, Rule.OPZO) for device in (self.bad, self.good)]
        if not _same_states(*states):
            return "state as read"
        for device, state in zip((self.bad, self.good), states, strict=True):
            state.write(device)
        return ""

    def _stored(self, count: int) -> str:
        """Write samples to the stores of both, and train on all of them twice; what differs, '' if nothing does."""
        image = store_image([("storm", [self.sample() for _ in range(count)], count)], STORE)
        assert image is not None
        (place,), seed = image.sets, self.random.randrange(1 << 32)
        blocks = [
            StoredBlock(place.table, count, first, 1, seed, train=True, answers=True, registers={Reg.RATE: 20 + first})
            for first in [*range(count), *range(count)]
        ]
        results = []
        for device in (self.bad, self.good):
            upload(device, image)
            results.append([(r.correct, r.loss, r.answers.tolist()) for r in device.run_stored(blocks)])
            if not device.read_store(0, len(image.data)) == image.data:
                return "stored samples"
        self.samples += 2 * count
        return "" if results[0] == results[1] else "results of stored samples"

    def different(self) -> str:
        """First difference between both devices in all that they hold; '' if there is none."""
        return first_difference(self.line.model.core, self._clean.core)


def open_line(line: StormLine, *, reopens: bool) -> Device:
    """Open the device at the end of a line; with ``reopens`` the driver opens the line again when it dies."""
    link = Link(Connection("bad", line.open, PATIENCE, reopens=reopens))
    link.expect_damage()
    return Device("bad", link)


def first_difference(one: GoldenCore, other: GoldenCore) -> str:
    """First difference in all that two cores hold, but for cycles; '' if there is none."""
    for name in (*ARRAYS, *SUMS):
        if not np.array_equal(getattr(one, name), getattr(other, name)):
            return name
    if not np.array_equal(one.lfsrs.states, other.lfsrs.states):
        return "random states"
    if one.registers != other.registers:
        return "registers"
    words = [COUNTER + 2 * counter + high for counter in Counter if counter not in CYCLES for high in (0, 1)]
    counters = [[core.read_register(word) for word in words] for core in (one, other)]
    return "" if counters[0] == counters[1] else "counters"


def _plain(result: Result) -> tuple[int, int, bytes]:
    return result.prediction, result.loss, result.outputs.tobytes()


def _same_states(first: State, second: State) -> bool:
    for name, one in vars(first).items():
        other = getattr(second, name)
        if isinstance(one, list):
            if len(one) != len(other) or not all(map(np.array_equal, one, other)):
                return False
        elif not np.array_equal(one, other):
            return False
    return True
