"""Training on handwritten digits with the largest network that a device holds."""

from dataclasses import dataclass
from math import isqrt

import numpy as np
from numpy.typing import NDArray

from opzo.host.data.data_sets import Frames, load_data
from opzo.host.data.events.event_sample import EventSample
from opzo.host.data.events.event_samples import Events
from opzo.host.driver.device import Device
from opzo.host.driver.sample import Sample
from opzo.host.selftest.device_under_test import prepare
from opzo.host.selftest.experiment import Outcome, read_state
from opzo.spec.errors import NetworkError
from opzo.spec.formats import HISTORY_STEPS
from opzo.spec.limits import Limits
from opzo.spec.memories import Space
from opzo.spec.network import MAX_LOCAL_CLASSES, Network
from opzo.spec.rules import Input, Rule

DIGIT_SIDE, DIGIT_CLASSES = 8, 10
FRAME_STEPS = 6
EVENT_STEPS = HISTORY_STEPS + 4
"""Time steps of an event sample: a full chunk and a partial one."""
VALUES = 256


@dataclass(frozen=True)
class DigitsExperiment:
    """Samples for a network: training on the first ``trained``, inference on the others."""

    network: Network
    samples: list[Sample]
    trained: int
    seed: int

    @property
    def first_rows(self) -> dict[str, int]:
        """Empty: all state is read from row 0."""
        return {}

    @property
    def items(self) -> int:
        """Number of samples."""
        return len(self.samples)

    def when(self, count: int) -> str:
        """Text for the moment after ``count`` samples."""
        kind = "training" if count <= self.trained else "test"
        return f"after {kind} sample {count} of {self.items}"

    def name(self, item: int) -> str:
        """Text for a sample."""
        return f"sample {item + 1}"

    def run(self, device: Device, count: int) -> Outcome:
        """Write the initial state and run the first ``count`` samples."""
        limits = device.limits
        prepare(device, self.network, Rule.OPZO, self.seed)
        self._clear_rest(device)
        learned = min(count, self.trained)
        results = list(device.run(self.samples[:learned], train=True, outputs=True))
        results += device.run(self.samples[learned:count], outputs=True)
        answers = [(result.prediction, result.loss, *result.outputs.tolist()) for result in results]
        words = sum(layer.all_words for layer in self.network.layout(device.limits)[:-1])
        # Words outside the network keep the membrane potentials of earlier networks.
        state = read_state(device, range(limits.rows), range(words))
        if limits.gradients:
            state["GRADIENTS"] = device.read_memory(Space.GRADIENTS, 0, 2 * limits.gradients)
        return Outcome(np.array(answers, np.int64), state)

    def _clear_rest(self, device: Device) -> None:
        """Write 0 to the rows after the network, which must not change, and to gradients of earlier networks."""
        limits = device.limits
        if limits.gradients:
            device.write_memory(Space.GRADIENTS, 0, np.zeros((2 * limits.gradients, limits.lanes), np.uint16))
        last = self.network.layout(limits)[-1]
        used = last.weight_base + last.rows * last.words
        device.write_memory(Space.WEIGHTS, used, np.zeros((limits.rows - used, limits.lanes), np.uint16))


def largest_network(limits: Limits, depth: int, kind: Input) -> Network:
    """Network with up to ``depth`` hidden layers that uses most of the weight memory, for images of 8 x 8 or more.

    Prefers local learning; uses fewer layers or smaller images if nothing else fits. NetworkError if no network fits.
    """
    most_side = isqrt(limits.inputs)
    least_side = min(DIGIT_SIDE, most_side)
    for sides in (range(most_side, least_side - 1, -1), range(least_side - 1, 0, -1)):
        for layers in range(min(depth, limits.layers, limits.words), 0, -1):
            for local in (layers, 0):
                fitting = [
                    network
                    for words in range(1, limits.words // layers + 1)
                    if (network := _widest(limits, sides, words, layers, local, kind)) is not None
                ]
                if fitting:
                    return max(fitting, key=lambda network: _rows(network, limits))
    raise NetworkError(f"the device is too small for any test network: {limits}")


def convolutional_network(limits: Limits) -> Network:
    """Network with as many kinds of layers as fit a device with convolutions; NetworkError if none fits."""
    classes = min(DIGIT_CLASSES, limits.classes)
    side = DIGIT_SIDE if limits.inputs >= DIGIT_SIDE**2 else isqrt(limits.inputs) // 4 * 4
    for parts in ("8c3-p2-6c3-p2-12", "8c3-p2-6c3", "4c3-p2", "2c3", "1c1"):
        for block, local in ((2, 1), (2, 0), (1, 0)):
            if not side:
                continue
            network = Network(f"1x{side}x{side}-{parts}-{classes}", min(FRAME_STEPS, limits.steps), local, block=block)
            try:
                network.check(limits)
            except NetworkError:
                continue
            return network
    raise NetworkError(f"the device is too small for any test network with convolutions: {limits}")


def _widest(limits: Limits, sides: range, words: int, layers: int, local: int, kind: Input) -> Network | None:
    """Network for the largest images that fit; hidden layers have ``words`` words, the last word half full."""
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
    """Handwritten digits in random order, scaled to the inputs of ``network``; as spikes if its input is spikes."""
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
    """Spikes at a rate proportional to the pixel: value / 256 per time step."""
    passed = image.astype(np.int64) * np.arange(steps + 1)[:, None] // VALUES
    fired = np.diff(passed, axis=0) > 0
    counts = np.concatenate([[0], np.cumsum(fired.sum(axis=1))])
    return EventSample(np.nonzero(fired)[1].astype(np.uint16), counts, None, label)
