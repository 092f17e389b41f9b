"""Training on a device: epochs, schedules, evaluation; stops and resumes between any two samples."""

import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from opzo.host.data.augment import Augmentation
from opzo.host.data.class_names import Names, padded
from opzo.host.data.data_sets import Frames
from opzo.host.data.events.event_samples import Events
from opzo.host.driver.device import Device, Sample
from opzo.host.driver.initial_weights import ORDER, generator
from opzo.host.driver.row_layout import round_entries
from opzo.host.driver.state import State
from opzo.host.driver.statistics import Tally, counter_array
from opzo.host.training import health
from opzo.host.training.checkpoint import Checkpoint
from opzo.host.training.config import Hyperparameters
from opzo.host.training.schedule_registers import BLOCK, rate_registers
from opzo.spec.errors import OpzoError
from opzo.spec.network import Network
from opzo.spec.protocol import Identity
from opzo.spec.registers import Reg
from opzo.spec.rules import Rule

logger = logging.getLogger(__name__)

Samples = Frames | Events
"""What there is to train and test on."""
REPORT_SECONDS = 0.5
"""Least time between two progress reports."""


@dataclass(frozen=True)
class Progress:
    """Where a running epoch stands."""

    epoch: int
    position: int
    count: int
    """Training samples an epoch."""
    tally: Tally
    seconds: float
    """Time spent in this epoch by this process."""
    done: int
    """Samples trained in that time."""
    chance: float
    """Accuracy of always naming the most frequent class of the training samples."""

    def warnings(self, network: Network, hyper: Hyperparameters, lanes: int) -> Iterator[tuple[str, str]]:
        """What is wrong with the epoch so far, once there is enough of it (``opzo.host.training.health``)."""
        if self.tally.samples < health.SAMPLES:
            return iter(())
        trained = self.epoch * self.count + self.position
        return health.warnings(self.tally, network, hyper, lanes, trained=trained, chance=self.chance)


@dataclass(frozen=True)
class EpochReport:
    """What one epoch came to."""

    epoch: int
    """Counted from 1."""
    train: Tally
    """While training: with noise, and weights that still change."""
    test: Tally
    rule: Rule
    rate: int
    samples_per_second: float
    chance: float
    """Accuracy of always naming the most frequent class of the training samples."""

    def warnings(self, network: Network, hyper: Hyperparameters, lanes: int) -> Iterator[tuple[str, str]]:
        """What is wrong with the epoch (``opzo.host.training.health``)."""
        trained = self.epoch * self.train.samples
        return health.warnings(self.train, network, hyper, lanes, trained=trained, chance=self.chance, tested=self.test)

    def row(self, network: Network, identity: Identity) -> dict[str, Any]:
        """One line of metrics.jsonl."""
        return {
            "epoch": self.epoch,
            "rate": self.rate,
            "samples_per_second": self.samples_per_second,
            "train": self.train.figures(network, identity),
            "test": self.test.figures(network, identity),
            "health": asdict(health.Health.of(self.train, network, self.rule, identity.lanes)),
        }


class Watcher:
    """What goes on beside training; override what is of interest."""

    def stop(self) -> bool:
        """Whether to stop after the sample under way."""
        return False

    def progress(self, progress: Progress) -> None:
        """Hear of the running epoch, about twice a second."""

    def epoch(self, report: EpochReport) -> None:
        """Hear of a completed epoch; a checkpoint follows."""

    def save(self, trainer: "Trainer") -> None:
        """Keep a checkpoint."""


class Trainer:
    """A network in training on a device.

    Parameters
    ----------
    device : Device
        Is configured and filled from ``checkpoint``, or from the seed.
    network : Network
    hyper : Hyperparameters
    checkpoint : Checkpoint or None
        Where to go on.
    """

    def __init__(
        self, device: Device, network: Network, hyper: Hyperparameters, checkpoint: Checkpoint | None = None
    ) -> None:
        self._device, self.network, self.hyper = device, network, hyper
        self.rule = Rule.parse(hyper.rule)
        self._augmentation = Augmentation(hyper.rotate, hyper.zoom, hyper.shift)
        self.epoch = self.position = 0
        self.tally = Tally()
        self.class_names: Names = ()
        state = State.initial(network, self.rule, hyper.seed, device.limits)
        if checkpoint is not None:
            checkpoint.check(network, self.rule)
            self.epoch, self.position, state = checkpoint.epoch, checkpoint.position, checkpoint.state
            self.class_names = checkpoint.class_names
            self.tally.add_tally(checkpoint.tally)
        # Before anything is written: a device that cannot take the state keeps the one it has.
        state.check(device)
        device.configure(network, self.rule)
        state.write(device)
        self._writes = device.writes
        self._rates: dict[int, int] = {}

    @property
    def device(self) -> Device:
        """The device; OpzoError where another model, or the user, has written to it since."""
        if self._device.writes != self._writes:
            raise OpzoError(
                f"{self._device.name} no longer holds this model: another one, or your own writes, took its place. "
                "A device holds one model at a time; open one for each with opzo.connect, or save() this model before "
                "the next one is made and load() it later"
            )
        return self._device

    @property
    def place(self) -> str:
        """Where it is, in words; asks nothing of the device."""
        if self._device.closed:
            return "its device is closed"
        held = self._device.writes == self._writes
        return f"on {self._device.name} with {self._device.limits.lanes} lanes" if held else "lost its device"

    def write_weights(self, weights: list[NDArray[np.int16]]) -> None:
        """Put other weights in place of the model's, rounded to what the device holds."""
        device = self.device
        try:
            for layer, matrix in enumerate(weights):
                device.write_weights(layer, round_entries(matrix, device.limits.low_bits))
        finally:
            self._writes = device.writes

    def restart(self, hyper: Hyperparameters) -> None:
        """Begin the schedules again, with the state as it is; rule and seed stay."""
        self.hyper = replace(hyper, rule=self.hyper.rule, seed=self.hyper.seed)
        self._augmentation = Augmentation(hyper.rotate, hyper.zoom, hyper.shift)
        self.epoch = self.position = 0
        self.tally = Tally()

    def checkpoint(self, settings: dict[str, Any] | None = None, data_digest: int = 0) -> Checkpoint:
        """Where training stands."""
        tally = Tally()
        tally.add_tally(self.tally)
        state = State.read(self.device, self.rule)
        return Checkpoint(
            *(self.network, self.rule, state, self.epoch, self.position, tally),
            settings=settings or {},
            data_digest=data_digest,
            class_names=self.class_names,
        )

    def fit(
        self, train: Samples, test: Samples | None, watcher: Watcher | None = None, *, checkpoint_every: int = 0
    ) -> bool:
        """Train up to ``hyper.epochs`` epochs; False where the watcher stopped it before.

        ``checkpoint_every`` (samples, 0 = never) asks the watcher to save within an epoch as well.
        """
        watcher = watcher or Watcher()
        # Somebody else may have written them meanwhile.
        self._rates = {}
        self.class_names = padded(train.names, self.network.classes) or self.class_names
        self._augmentation.check(train, "the training data")
        while self.epoch < self.hyper.epochs:
            begin = time.monotonic(), self.position
            if not self._train_epoch(train, watcher, checkpoint_every):
                return False
            speed = (self.position - begin[1]) / max(1e-9, time.monotonic() - begin[0])
            tested = Tally() if test is None else self.evaluate(test, watcher.stop)
            if watcher.stop():
                return False
            report = EpochReport(
                self.epoch + 1, self.tally, tested, self.rule, self._rates.get(Reg.RATE, 0), speed, chance(train)
            )
            self.epoch, self.position, self.tally = self.epoch + 1, 0, Tally()
            watcher.epoch(report)
            watcher.save(self)
        return True

    def evaluate(self, samples: Samples, stop: Callable[[], bool] = lambda: False) -> Tally:
        """Test on samples, without noise and without learning."""
        return evaluate(self.device, samples, stop)

    def predict(self, samples: Samples) -> NDArray[np.intp]:
        """Predicted class of each sample."""
        return np.array([result.prediction for result in self.device.run(samples.samples())], np.intp)

    def _train_epoch(self, data: Samples, watcher: Watcher, checkpoint_every: int) -> bool:
        """Go on with the epoch to its end; False where the watcher stopped it before."""
        count = len(data)
        order = generator(self.hyper.seed, ORDER, self.epoch).permutation(count)
        draws = self._augmentation.draw(self.hyper.seed, self.epoch, count)
        begin = reported = time.monotonic()
        first = saved = self.position
        while self.position < count and not watcher.stop():
            block = slice(self.position, self.position + self._block(count))
            self._set_rates(count)
            if self._augmentation and isinstance(data, Frames):
                samples = self._augmentation.samples(data, order[block], draws[block])
            else:
                samples = data.samples(order[block])
            self._train(samples, data.y[order[block]], watcher.stop)
            if checkpoint_every and self.position - saved >= checkpoint_every and self.position < count:
                saved = self.position
                watcher.save(self)
            now = time.monotonic()
            if now - reported >= REPORT_SECONDS or self.position == count:
                reported = now
                done = self.position - first
                watcher.progress(
                    Progress(self.epoch, self.position, count, self.tally, now - begin, done, chance(data))
                )
        return self.position == count

    def _block(self, count: int) -> int:
        """Samples until the registers change or the epoch ends."""
        return min(BLOCK - (self.epoch * count + self.position) % BLOCK, count - self.position)

    def _set_rates(self, count: int) -> None:
        sample = self.epoch * count + self.position
        rates = rate_registers(self.hyper, sample - sample % BLOCK, self.hyper.epochs * count)
        changed = dict(rates.items() - self._rates.items())
        if logger.isEnabledFor(logging.DEBUG):
            values = ", ".join(f"{Reg(register).name} {value}" for register, value in sorted(changed.items()))
            logger.debug("epoch %d, sample %d: registers %s", self.epoch + 1, self.position, values)
        self.device.write_registers(changed)
        self._rates = rates

    def _train(self, samples: Iterator[Sample], labels: NDArray[np.uint8], stop: Callable[[], bool]) -> None:
        before, sent = counter_array(self.device.counters()), self.device.bytes_sent
        results = self.device.run(_until(stop, samples), train=True)
        for result, label in zip(results, labels.tolist(), strict=False):
            self.tally.add(result, label)
            self.position += 1
        self.tally.sent += self.device.bytes_sent - sent
        self.tally.add_counters(before, counter_array(self.device.counters()))


def chance(samples: Samples) -> float:
    """Accuracy of always naming the most frequent class."""
    return float(np.bincount(samples.y).max()) / len(samples)


def evaluate(
    device: Device,
    samples: Samples,
    stop: Callable[[], bool] = lambda: False,
    answered: Callable[[int, int], None] = lambda prediction, label: None,
) -> Tally:
    """Test a device that holds a network on samples, until ``stop``; ``answered`` hears of each one."""
    tally = Tally()
    before, sent = counter_array(device.counters()), device.bytes_sent
    results = device.run(_until(stop, samples.samples()))
    for result, label in zip(results, samples.y.tolist(), strict=False):
        tally.add(result, label)
        answered(result.prediction, label)
    tally.sent = device.bytes_sent - sent
    tally.add_counters(before, counter_array(device.counters()))
    return tally


def _until(stop: Callable[[], bool], samples: Iterator[Sample]) -> Iterator[Sample]:
    """Samples until ``stop``."""
    for sample in samples:
        if stop():
            return
        yield sample
