"""Training on a device: epochs and schedules. It can stop and resume between any two samples."""

import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import takewhile
from typing import Any

import numpy as np
from numpy.typing import NDArray

from opzo.host.data.augment import Augmentation
from opzo.host.data.class_names import Names, padded
from opzo.host.data.images.contrast import Contrast
from opzo.host.data.images.frames import Frames
from opzo.host.driver.device import Device
from opzo.host.driver.initial_weights import order_seed
from opzo.host.driver.input_order import channel_last_shape
from opzo.host.driver.row_layout import round_entries
from opzo.host.driver.sample import Sample
from opzo.host.driver.state import State
from opzo.host.driver.statistics import Tally, counter_array
from opzo.host.driver.stored_block import StoredBlock
from opzo.host.training.checkpoint import Checkpoint
from opzo.host.training.config import Hyperparameters
from opzo.host.training.evaluation import Samples, chance_accuracy, evaluate, until
from opzo.host.training.initial_rates import FITTED_SAMPLES, fit_firing_rates
from opzo.host.training.reports import EpochProgress, EpochReport, Watcher
from opzo.host.training.schedule_registers import BLOCK, schedule_registers
from opzo.host.training.stored_data import StoredData, run_blocks, store_data
from opzo.spec.errors import OpzoError
from opzo.spec.network import Network
from opzo.spec.registers import Reg
from opzo.spec.rules import Rule
from opzo.spec.shuffle import order

logger = logging.getLogger(__name__)

REPORT_SECONDS = 0.5
"""Minimum time between two reports of progress."""


class Trainer:
    """A network in training on a device.

    Parameters
    ----------
    device : Device
        Gets the network and its state, from ``checkpoint`` or from the seed.
    network : Network
    hyper : Hyperparameters
    checkpoint : Checkpoint or None
        Where to resume.
    """

    def __init__(
        self, device: Device, network: Network, hyper: Hyperparameters, checkpoint: Checkpoint | None = None
    ) -> None:
        self._device, self.network, self.hyper = device, network, hyper
        self.rule = Rule.parse(hyper.rule)
        self._augmentation = _augmentation(hyper)
        self._channel_last = channel_last_shape(network)
        self.epoch = self.position = 0
        self.tally = Tally()
        self.class_names: Names = ()
        self.contrast: Contrast | None = None
        state = State.initial(network, self.rule, hyper.seed, device.limits)
        if checkpoint is not None:
            checkpoint.check(network, self.rule)
            self.epoch, self.position, state = checkpoint.epoch, checkpoint.position, checkpoint.state
            self.class_names, self.contrast = checkpoint.class_names, checkpoint.contrast
            self.tally.add_tally(checkpoint.tally)
        self._initial = checkpoint is None
        # Before anything is written: a device that cannot take this state keeps its own.
        state.check(device)
        device.configure(network, self.rule)
        state.write(device)
        self._writes = device.writes
        self._registers: dict[int, int] = {}
        """Registers of the schedule that the device holds."""
        self._stored: StoredData | None = None
        """Where samples are in the device's store, during `fit`."""
        self._magnitude_rate = 0
        """Largest step size that the running sums of gradients in the device are known to fit."""

    @property
    def device(self) -> Device:
        """The device; OpzoError where another model or the user has written to it since."""
        if self._device.writes != self._writes:
            raise OpzoError(
                f"{self._device.name} no longer holds this model: another model or your own writes replaced it. "
                "A device holds one model at a time; open a device for each with opzo.connect, or save() this model "
                "before you create the next one and load() it later"
            )
        return self._device

    @property
    def whereabouts(self) -> str:
        """State of its device in words, without a command to the device."""
        if self._device.closed:
            return "its device is closed"
        held = self._device.writes == self._writes
        return f"on {self._device.name} with {self._device.limits.lanes} lanes" if held else "lost its device"

    def write_weights(self, weights: list[NDArray[np.int16]]) -> None:
        """Replace the weights; they are rounded to the device's bits per weight."""
        device = self.device
        try:
            for layer, matrix in enumerate(weights):
                device.write_weights(layer, round_entries(matrix, device.limits.low_bits))
        finally:
            self._writes = device.writes
        self._magnitude_rate = 0

    def restart(self, hyper: Hyperparameters) -> None:
        """Restart the schedules with the current state; rule and seed are kept."""
        self.hyper = replace(hyper, rule=self.hyper.rule, seed=self.hyper.seed)
        self._augmentation = _augmentation(hyper)
        self.epoch = self.position = 0
        self.tally = Tally()
        self.forget_magnitudes()

    def forget_magnitudes(self) -> None:
        """Let convolutions begin with small steps, before the step size becomes another one."""
        device = self.device
        try:
            device.forget_magnitudes()
        finally:
            self._writes = device.writes
        self._magnitude_rate = 0

    def checkpoint(self, settings: dict[str, Any] | None = None, data_digest: int = 0) -> Checkpoint:
        """Checkpoint of the current state, read from the device."""
        tally = Tally()
        tally.add_tally(self.tally)
        state = State.read(self.device, self.rule)
        return Checkpoint(
            *(self.network, self.rule, state, self.epoch, self.position, tally),
            settings=settings or {},
            data_digest=data_digest,
            class_names=self.class_names,
            contrast=self.contrast,
        )

    def fit(
        self,
        train: Samples,
        test: Samples | None,
        watcher: Watcher | None = None,
        *,
        checkpoint_every: int = 0,
        store: bool = True,
    ) -> bool:
        """Train up to ``hyper.epochs`` epochs; False where the watcher stopped it.

        With ``checkpoint_every``, a number of samples, the watcher also saves within an epoch. With ``store`` the
        samples are written to the device's sample store first, if it has a large enough one. The result is the same.
        """
        watcher = watcher or Watcher()
        # Others may have written them in the meantime.
        self._registers = {}
        self.class_names = padded(train.names, self.network.classes) or self.class_names
        self.contrast = train.contrast if isinstance(train, Frames) else None
        self._augmentation.check(train, "the training data")
        if self._initial and self.hyper.init_rate:
            self._fit_firing_rates(train)
        self._initial = False
        self._stored = None
        if store and self.epoch < self.hyper.epochs:
            self._stored = store_data(self.device, self.network, train, test, self._augmentation, watcher)
        while self.epoch < self.hyper.epochs:
            begin = time.monotonic(), self.position
            if not self._train_epoch(train, watcher, checkpoint_every):
                return False
            speed = (self.position - begin[1]) / max(1e-9, time.monotonic() - begin[0])
            tested = Tally() if test is None else self._test(test, watcher.stop)
            if watcher.stop():
                return False
            report = EpochReport(
                *(self.epoch + 1, self.tally, tested, self.rule),
                *(self._registers.get(Reg.RATE, 0), speed, chance_accuracy(train)),
            )
            self.epoch, self.position, self.tally = self.epoch + 1, 0, Tally()
            watcher.epoch(report)
            watcher.save(self)
        return True

    def _fit_firing_rates(self, train: Samples) -> None:
        """Scale the initial weights to a firing rate, on the first samples of the first epoch."""
        device = self.device
        first = self.order(len(train))[:FITTED_SAMPLES]
        samples = list(train.samples(first, channel_last=self._channel_last))
        try:
            fit_firing_rates(device, samples, self.hyper.init_rate)
        finally:
            self._writes = device.writes

    def evaluate(self, samples: Samples, stop: Callable[[], bool] = lambda: False) -> Tally:
        """Test on samples (`evaluation.evaluate`)."""
        return evaluate(self.device, self.network, samples, stop)

    def _test(self, samples: Samples, stop: Callable[[], bool]) -> Tally:
        """Test on samples, from the store if they are there."""
        if self._stored is None or self._stored.test is None:
            return self.evaluate(samples, stop)
        tally = Tally()
        blocks = takewhile(lambda _: not stop(), self._stored.test_blocks())
        for _ in run_blocks(self.device, blocks, tally):
            pass
        return tally

    def begin_online(self, samples: Samples, registers: dict[int, int]) -> None:
        """Prepare online training on samples, with constant step sizes and noise: those of ``registers``.

        Besides these registers, and the running sums of gradients where the step size grows, nothing is written to the
        device. The schedules of `fit` are not affected.
        """
        if registers[Reg.RATE] > self._magnitude_rate:
            self.forget_magnitudes()
            self._magnitude_rate = registers[Reg.RATE]
        self.class_names = self.class_names or padded(samples.names, self.network.classes)
        if isinstance(samples, Frames):
            self.contrast = self.contrast or samples.contrast
        # Weights that have learned are not scaled to a firing rate any more.
        self._initial = False
        self.device.write_registers(registers)
        self._registers = {}

    def train_online(self, samples: Samples, registers: dict[int, int]) -> Tally:
        """Train on samples in order, after `begin_online`."""
        self.begin_online(samples, registers)
        tally = Tally()
        self._train(samples.samples(channel_last=self._channel_last), samples.y, tally)
        return tally

    def predict(self, samples: Samples) -> NDArray[np.intp]:
        """Predicted class of each sample."""
        results = self.device.run(samples.samples(channel_last=self._channel_last))
        return np.array([result.prediction for result in results], np.intp)

    def summed_readouts(self, samples: Samples) -> NDArray[np.int32]:
        """Readouts of each sample, summed over its time steps: (count, classes), OUTPUT_SUM."""
        results = self.device.run(samples.samples(channel_last=self._channel_last), outputs=True)
        return np.array([result.outputs for result in results], np.int32)

    def order(self, count: int) -> NDArray[np.intp]:
        """Indices of ``count`` training samples in the order of the present epoch."""
        return order(order_seed(self.hyper.seed, self.epoch), count)

    def _train_epoch(self, data: Samples, watcher: Watcher, checkpoint_every: int) -> bool:
        """Train the rest of the epoch; False where the watcher stopped it."""
        count, chance = len(data), chance_accuracy(data)
        begin = reported = time.monotonic()
        first = saved = self.position
        train = self._stored_blocks if self._stored else self._sent_blocks
        while self.position < count and not watcher.stop():
            goal = min(count, saved + checkpoint_every) if checkpoint_every else count
            for _ in train(data, goal, watcher.stop):
                now = time.monotonic()
                if now - reported >= REPORT_SECONDS or self.position == count:
                    reported = now
                    place = self.epoch, self.position, count, self.tally
                    watcher.progress(EpochProgress(*place, now - begin, self.position - first, chance))
            if checkpoint_every and goal <= self.position < count:
                saved = self.position
                watcher.save(self)
        return self.position == count

    def _sent_blocks(self, data: Samples, goal: int, stop: Callable[[], bool]) -> Iterator[None]:
        """Train on samples that are sent one by one, to position ``goal``; yields after each block."""
        count = len(data)
        order = self.order(count)
        draws = self._augmentation.draw(self.hyper.seed, self.epoch, count)
        while self.position < goal and not stop():
            block = slice(self.position, self.position + self._block(self.position, count))
            self.device.write_registers(self._new_registers(self.position, count))
            if self._augmentation and isinstance(data, Frames):
                samples = self._augmentation.samples(data, order[block], draws[block], channel_last=self._channel_last)
            else:
                samples = data.samples(order[block], channel_last=self._channel_last)
            trained = self.tally.samples
            try:
                self._train(samples, data.y[order[block]], self.tally, stop)
            finally:
                self.position += self.tally.samples - trained
            yield

    def _stored_blocks(self, data: Samples, goal: int, stop: Callable[[], bool]) -> Iterator[None]:
        """The same from the device's store, while the next block is under way."""
        assert self._stored is not None
        stored, count, seed = self._stored, len(data), order_seed(self.hyper.seed, self.epoch)

        def blocks() -> Iterator[StoredBlock]:
            first = self.position
            while first < goal and not stop():
                size, registers = self._block(first, count), self._new_registers(first, count)
                place = stored.train.table, count, first, size, seed
                yield StoredBlock(*place, train=True, shift=stored.shift, shape=stored.shape, registers=registers)
                first += size

        for samples in run_blocks(self.device, blocks(), self.tally):
            self.position += samples
            yield

    def _block(self, position: int, count: int) -> int:
        """Number of samples from ``position`` until the registers change or the epoch ends."""
        return min(BLOCK - (self.epoch * count + position) % BLOCK, count - position)

    def _new_registers(self, position: int, count: int) -> dict[int, int]:
        """Registers of the schedule at a position that differ from those that the device holds or will hold."""
        sample = self.epoch * count + position
        registers = schedule_registers(self.hyper, sample - sample % BLOCK, self.hyper.epochs * count)
        changed = dict(registers.items() - self._registers.items())
        if logger.isEnabledFor(logging.DEBUG):
            values = ", ".join(f"{Reg(register).name} {value}" for register, value in sorted(changed.items()))
            logger.debug("epoch %d, sample %d: registers %s", self.epoch + 1, position, values)
        self._registers = registers
        return changed

    def _train(
        self,
        samples: Iterator[Sample],
        labels: NDArray[np.uint8],
        tally: Tally,
        stop: Callable[[], bool] = lambda: False,
    ) -> None:
        """Train on samples, which ``tally`` counts."""
        before, sent = counter_array(self.device.counters()), self.device.bytes_sent
        results = self.device.run(until(stop, samples), train=True)
        for result, label in zip(results, labels.tolist(), strict=False):
            tally.add(result, label)
        tally.sent += self.device.bytes_sent - sent
        tally.add_counters(before, counter_array(self.device.counters()))


def _augmentation(hyper: Hyperparameters) -> Augmentation:
    return Augmentation(hyper.rotate, hyper.zoom, hyper.shift, bool(hyper.flip))
