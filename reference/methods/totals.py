"""Totals over samples: correct decisions, loss and spikes."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from opzo.reference.networks.neuron import LIF


@dataclass
class Totals:
    """Sums over samples: count, correct decisions, loss (mean over the time steps), spikes of each hidden layer."""

    samples: int = 0
    correct: int = 0
    loss: float = 0.0
    spikes: tuple[float, ...] = ()

    def add(self, other: "Totals") -> None:
        """Add other totals."""
        self.samples, self.correct = self.samples + other.samples, self.correct + other.correct
        self.loss += other.loss
        self.spikes = tuple(map(sum, zip(self.spikes, other.spikes, strict=True))) if self.spikes else other.spikes

    @property
    def accuracy(self) -> float:
        """Fraction of correct decisions."""
        return self.correct / self.samples

    @property
    def mean_loss(self) -> float:
        """Mean loss per sample and time step."""
        return self.loss / self.samples

    def firing_rates(self, shapes: Sequence[torch.Size], steps: int) -> list[float]:
        """Spikes per neuron and time step of hidden layers with these shapes."""
        moments = self.samples * steps
        return [spikes / (moments * shape.numel()) for spikes, shape in zip(self.spikes, shapes, strict=True)]


class StepSums:
    """Collects time steps to totals, without waiting for the device in each step."""

    def __init__(self, layers: Sequence[LIF]) -> None:
        self._layers = layers
        self._losses: list[Tensor] = []
        self._spikes: list[Tensor] = []
        self._outputs: list[Tensor] = []

    def step(self, output: Tensor, losses: Tensor) -> None:
        """Add a time step: outputs (samples, classes), losses (samples,)."""
        self._outputs.append(output.detach())
        self._losses.append(losses.detach())
        self._spikes.append(torch.stack([layer.spikes.detach().sum() for layer in self._layers]))

    def totals(self, y: Tensor) -> Totals:
        """Totals of the collected steps; the decision is the class with the largest summed output."""
        correct = (torch.stack(self._outputs).sum(0).argmax(1) == y).sum()
        loss = torch.stack(self._losses).mean(0).sum()
        return Totals(len(y), int(correct), float(loss), tuple(torch.stack(self._spikes).sum(0).tolist()))
