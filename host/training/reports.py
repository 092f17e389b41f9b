"""What a trainer reports to its watcher: progress within an epoch, and the figures of a complete one."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from opzo.host.driver.statistics import Tally
from opzo.host.report.energy import total
from opzo.host.training import health
from opzo.host.training.config import Hyperparameters
from opzo.spec.network import Network
from opzo.spec.protocol import Identity
from opzo.spec.rules import Rule

if TYPE_CHECKING:
    from opzo.host.training.trainer import Trainer


@dataclass(frozen=True)
class EpochProgress:
    """How far an epoch has come."""

    epoch: int
    position: int
    count: int
    """Training samples per epoch."""
    tally: Tally
    seconds: float
    """Time that this process has spent in this epoch."""
    done: int
    """Samples trained in that time."""
    chance: float
    """Accuracy of always predicting the most frequent class of the training samples."""

    @property
    def samples_per_second(self) -> float:
        """Speed of training in this process."""
        return self.done / max(1e-9, self.seconds)

    def warnings(self, network: Network, hyper: Hyperparameters, lanes: int) -> Iterator[tuple[str, str]]:
        """Warnings about the epoch so far (`health.warnings`), once there are enough samples."""
        if self.tally.samples < health.MIN_SAMPLES:
            return iter(())
        trained = self.epoch * self.count + self.position
        return health.warnings(self.tally, network, hyper, lanes, trained=trained, chance=self.chance)


@dataclass(frozen=True)
class EpochReport:
    """Figures of a complete epoch."""

    epoch: int
    """Counted from 1."""
    train: Tally
    """During training: with noise, and with weights that change."""
    test: Tally
    rule: Rule
    rate: int
    samples_per_second: float
    chance: float
    """Accuracy of always predicting the most frequent class of the training samples."""

    def warnings(self, network: Network, hyper: Hyperparameters, lanes: int) -> Iterator[tuple[str, str]]:
        """Warnings about the epoch (`health.warnings`)."""
        trained = self.epoch * self.train.samples
        return health.warnings(self.train, network, hyper, lanes, trained=trained, chance=self.chance, tested=self.test)

    def row(self, network: Network, identity: Identity) -> dict[str, Any]:
        """A line of metrics.jsonl."""
        return {
            "epoch": self.epoch,
            "rate": self.rate,
            "samples_per_second": self.samples_per_second,
            "train": self.train.figures(network, identity),
            "test": self.test.figures(network, identity),
            "energy_pj_per_sample": {
                part: total(tally.energy(network, identity))
                for part, tally in (("train", self.train), ("test", self.test))
            },
            "health": asdict(health.Health.of(self.train, network, self.rule, identity.lanes)),
        }


class Watcher:
    """Receives the reports of a trainer and can stop it; override the methods of interest."""

    def stop(self) -> bool:
        """Whether to stop after the current sample."""
        return False

    def note(self, text: str) -> None:
        """Called with what the user should know about the way in which samples reach the device."""

    def uploading(self, done: int, total: int) -> None:
        """Called while samples are written to the device's store, with bytes."""

    def progress(self, progress: EpochProgress) -> None:
        """Called during an epoch, about twice a second."""

    def epoch(self, report: EpochReport) -> None:
        """Called after an epoch, before `save`."""

    def save(self, trainer: "Trainer") -> None:
        """Called when a checkpoint is due."""
