"""A trial: the largest network that a device holds, with samples of real images, and what it came to."""

from dataclasses import dataclass
from math import isqrt
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from opzo.host.data.data_sets import Frames, load_data
from opzo.host.data.events.event_samples import Events, EventSample
from opzo.host.driver.device import Device
from opzo.host.driver.sample import Sample
from opzo.host.driver.statistics import counter_array
from opzo.host.selftest.check import prepare
from opzo.spec.errors import NetworkError
from opzo.spec.formats import HISTORY_STEPS
from opzo.spec.memories import Space
from opzo.spec.network import MAX_LOCAL_CLASSES, Limits, Network
from opzo.spec.registers import COUNTER, TIMING_COUNTERS
from opzo.spec.rules import Input, Rule

DIGIT_SIDE, DIGIT_CLASSES = 8, 10
FRAME_STEPS = 6
EVENT_STEPS = HISTORY_STEPS + 4
"""Time steps of an event sample: a whole chunk, and a part of one."""
VALUES = 256


@dataclass(frozen=True)
class Outcome:
    """What some samples came to.

    Attributes
    ----------
    answers : int64 (samples, 2 + classes)
        Prediction, loss and summed read-outs.
    state : dict
        All that can be read of the device, as arrays of unsigned integers by name; lanes are the last axis.
    """

    answers: NDArray[np.int64]
    state: dict[str, NDArray[Any]]


class Experiment(Protocol):
    """What can be done on two devices, as a whole or up to some sample or run, and compared."""

    @property
    def network(self) -> Network:
        """Network that is run."""

    @property
    def first_rows(self) -> dict[str, int]:
        """Number of the first row of states, by name, where it is not 0."""

    @property
    def items(self) -> int:
        """Number of samples or runs."""

    def run(self, device: Device, count: int) -> Outcome:
        """Begin again and do the first ``count``."""

    def when(self, count: int) -> str:
        """Words for the moment after the first ``count``."""

    def name(self, item: int) -> str:
        """Words for a sample or run, counted from 0."""


@dataclass(frozen=True)
class Trial:
    """Samples for a network: the first ``trained`` are learned from, the others are only inferred."""

    network: Network
    samples: list[Sample]
    trained: int
    seed: int

    @property
    def first_rows(self) -> dict[str, int]:
        """All states are read from row 0 on."""
        return {}

    @property
    def items(self) -> int:
        """Number of samples."""
        return len(self.samples)

    def when(self, count: int) -> str:
        """Words for the moment after ``count`` samples."""
        kind = "training" if count <= self.trained else "test"
        return f"after {kind} sample {count} of {self.items}"

    def name(self, item: int) -> str:
        """Words for a sample."""
        return f"sample {item + 1}"

    def run(self, device: Device, count: int) -> Outcome:
        """Begin anew and run the first ``count`` samples."""
        prepare(device, self.network, Rule.OPZO, self.seed)
        self._clear_rest(device)
        learned = min(count, self.trained)
        results = list(device.run(self.samples[:learned], train=True, outputs=True))
        results += device.run(self.samples[learned:count], outputs=True)
        answers = [(result.prediction, result.loss, *result.outputs.tolist()) for result in results]
        words = sum(layer.words for layer in self.network.layout(device.limits)[:-1])
        # Potentials of words that the network does not use are those of networks before.
        return Outcome(np.array(answers, np.int64), read_state(device, range(device.limits.rows), range(words)))

    def _clear_rest(self, device: Device) -> None:
        """Write 0 behind the network, where nothing may change."""
        limits = device.limits
        last = self.network.layout(limits)[-1]
        used = last.weight_base + last.rows * last.words
        device.write_memory(Space.WEIGHTS, used, np.zeros((limits.rows - used, limits.lanes), np.uint16))


def read_state(device: Device, rows: range, words: range) -> dict[str, NDArray[Any]]:
    """All that can be read of a device: of the weight memory ``rows``, of the potentials ``words``."""
    limits = device.limits
    return {
        "LFSR": device.read_lfsr(),
        "WEIGHTS": device.read_memory(Space.WEIGHTS, rows.start, len(rows)),
        "MEMBRANE": device.read_memory(Space.MEMBRANE, 2 * words.start, 2 * len(words)),
        "HISTORY": device.read_memory(Space.HISTORY, 0, limits.words),
        "INPUT_HISTORY": device.read_memory(Space.INPUT_HISTORY, 0, limits.input_words),
        "registers": np.array(device.read_registers(0, COUNTER), np.uint32),
        # Cycles are the device's own.
        "counters": np.delete(counter_array(device.counters()), TIMING_COUNTERS).astype(np.uint64),
    }


def largest_network(limits: Limits, depth: int, kind: Input) -> Network:
    """Network with up to ``depth`` hidden layers that uses most of the weight memory, for images of 8 x 8 or more.

    With local learning, fewer layers and smaller images where it does not fit otherwise; NetworkError where none does.
    """
    most_side = isqrt(limits.inputs)
    least_side = min(DIGIT_SIDE, most_side)
    for sides in (range(most_side, least_side - 1, -1), range(least_side - 1, 0, -1)):
        for layers in range(min(depth, limits.words), 0, -1):
            for local in (layers, 0):
                fitting = [
                    network
                    for words in range(1, limits.words // layers + 1)
                    if (network := _widest(limits, sides, words, layers, local, kind)) is not None
                ]
                if fitting:
                    return max(fitting, key=lambda network: _rows(network, limits))
    raise NetworkError(f"the device holds no network that can be tested: {limits}")


def _widest(limits: Limits, sides: range, words: int, layers: int, local: int, kind: Input) -> Network | None:
    """Network with hidden layers of ``words`` words, the last one half full, for the largest images that fit."""
    classes = min(DIGIT_CLASSES, limits.classes)
    hidden = (words * limits.lanes - limits.lanes // 2,) * layers
    if classes < 2 or (local and classes > MAX_LOCAL_CLASSES):
        return None
    steps = EVENT_STEPS if kind.events else min(FRAME_STEPS, limits.steps)
    for side in sides:
        network = Network((side * side, *hidden, classes), steps, local, kind)
        try:
            network.check(limits)
        except NetworkError:
            continue
        return network
    return None


def _rows(network: Network, limits: Limits) -> int:
    last = network.layout(limits)[-1]
    return last.weight_base + last.rows * last.words


def digit_samples(network: Network, count: int, random: np.random.Generator) -> list[Sample]:
    """Images of handwritten digits in the size that ``network`` takes, in random order; as spikes if it takes those."""
    digits = load_data("digits").train
    assert isinstance(digits, Frames)
    order = random.permutation(np.flatnonzero(digits.y < network.classes))[:count]
    side = isqrt(network.inputs)
    pixel = np.arange(side) * DIGIT_SIDE // side
    images = digits.x[order].reshape(-1, DIGIT_SIDE, DIGIT_SIDE)[:, pixel][:, :, pixel].reshape(-1, network.inputs)
    if network.input is Input.FRAME:
        return list(Frames(images, digits.y[order]).samples())
    spikes = [_spikes(image, int(label), network.steps) for image, label in zip(images, digits.y[order], strict=True)]
    return list(Events.of(spikes, (1, side, side)).samples())


def _spikes(image: NDArray[np.uint8], label: int, steps: int) -> EventSample:
    """An image as spikes whose rate is the pixel: value / 256 a time step."""
    passed = image.astype(np.int64) * np.arange(steps + 1)[:, None] // VALUES
    fired = np.diff(passed, axis=0) > 0
    counts = np.concatenate([[0], np.cumsum(fired.sum(axis=1))])
    return EventSample(np.nonzero(fired)[1].astype(np.uint16), counts, None, label)
