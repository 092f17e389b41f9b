"""Figures of training or testing, from the results of samples and the device's counters."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from opzo.host.driver.sample import Result
from opzo.host.driver.stored_block import BlockResult
from opzo.host.report.energy import EnergyLine, chip_energy
from opzo.spec.formats import LOSS_FRAC_BITS
from opzo.spec.network import Network
from opzo.spec.protocol import Identity
from opzo.spec.registers import COUNTER_BITS, Counter


def counter_array(counters: dict[Counter, int]) -> NDArray[np.int64]:
    """Counters as an array, indexed by Counter."""
    return np.array([counters[counter] for counter in Counter], np.int64)


def cycles_are(identity: Identity) -> str:
    """Origin of a device's cycle counts: ``counted`` by an engine or ``modelled`` by a cost model."""
    return "modelled" if identity.modelled else "counted"


@dataclass
class Tally:
    """Sums over samples; stored in checkpoints."""

    samples: int = 0
    correct: int = 0
    loss: int = 0
    sent: int = 0
    """Bytes of the frames of all runs."""
    counters: NDArray[np.int64] = field(default_factory=lambda: np.zeros(len(Counter), np.int64))

    def add(self, result: Result, label: int) -> None:
        """Count one answered sample."""
        self.samples += 1
        self.correct += result.prediction == label
        self.loss += result.loss

    def add_block(self, result: BlockResult, before: NDArray[np.int64]) -> None:
        """Count the samples of a block, with the increments of the device's counters since ``before``."""
        self.samples += result.samples
        self.correct += result.correct
        self.loss += result.loss
        self.add_counters(before, result.counters)

    def add_counters(self, before: NDArray[np.int64], after: NDArray[np.int64]) -> None:
        """Add the increments of the device's counters, which may have wrapped."""
        self.counters = self.counters + (after - before) % (1 << COUNTER_BITS)

    def add_tally(self, other: "Tally") -> None:
        """Add another tally."""
        self.samples += other.samples
        self.correct += other.correct
        self.loss += other.loss
        self.sent += other.sent
        self.counters = self.counters + other.counters

    @property
    def accuracy(self) -> float:
        """Share of samples whose class was predicted correctly, 0..1; 0 without samples."""
        return self.correct / max(1, self.samples)

    def loss_mean(self, steps: int) -> float:
        """Cross entropy in bits, mean over samples and time steps."""
        return self.loss / (max(1, self.samples) * steps * (1 << LOSS_FRAC_BITS))

    def firing_rates(self, network: Network) -> list[float]:
        """Spikes per neuron and time step, for each hidden layer."""
        samples = max(1, self.samples)
        return [
            int(self.counters[Counter.SPIKES_1 + layer]) / (samples * network.steps * neurons)
            for layer, neurons in enumerate(network.hidden)
        ]

    @property
    def cycles(self) -> int:
        """Clock cycles of the engine, counted or modelled."""
        return int(self.counters[Counter.TRAIN_CYCLES] + self.counters[Counter.TEST_CYCLES])

    def energy(self, network: Network, identity: Identity) -> list[EnergyLine]:
        """Estimate of the energy of a sample on the chip; ``identity`` is that of the device."""
        lanes, weight_bits = identity.lanes, identity.weight_bits
        return chip_energy(network, self.counters.tolist(), self.samples, lanes=lanes, weight_bits=weight_bits)

    def figures(self, network: Network, identity: Identity) -> dict[str, Any]:
        """All figures by name, for JSON; ``identity`` is that of the device."""
        samples = max(1, self.samples)
        count = {counter: int(self.counters[counter]) for counter in Counter}
        return {
            "samples": self.samples,
            "accuracy": self.accuracy,
            "loss": self.loss_mean(network.steps),
            "firing_rates": self.firing_rates(network),
            "cycles_per_sample": self.cycles / samples,
            "cycles": cycles_are(identity),
            "events_per_sample": count[Counter.EVENTS] / samples,
            "events_dropped": count[Counter.DROPPED],
            "link_bytes_per_sample": self.sent / samples,
            "synaptic_operations_per_sample": count[Counter.INTEGRATE] * identity.lanes / samples,
            "weight_updates_per_sample": count[Counter.LEARN] * identity.lanes / samples,
            "saturations": {
                counter.name.removesuffix("_SATURATIONS").lower(): count[counter]
                for counter in Counter
                if counter.name.endswith("_SATURATIONS")
            },
        }
