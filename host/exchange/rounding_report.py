"""Report on the rounding of a floating-point network to the chip's formats: weight errors and changed behavior."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import log10
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from opzo.host.exchange.chip_network import ChipNetwork
from opzo.host.exchange.float_layers import FloatLayer, Floats
from opzo.host.exchange.float_network import FloatNetwork, signals
from opzo.host.exchange.neurons import FloatNeurons
from opzo.spec.formats import WEIGHT
from opzo.spec.network import Network

if TYPE_CHECKING:
    from opzo.host.data.data_sets import Frames
    from opzo.host.data.events.event_samples import Events

BATCH_VALUES = 2_000_000
"""Maximum number of input and neuron signals, over all steps, in a batch: about 100 MB of tensors."""


@dataclass(frozen=True)
class LayerRounding:
    """Rounding errors of the weights and biases of one layer."""

    name: str
    largest: float
    """Largest absolute value before rounding."""
    saturated: float
    """Fraction outside the range of the format."""
    error: float
    """Root mean square error, relative to the root mean square of the weights."""

    @classmethod
    def of(cls, name: str, exact: Floats, rounded: NDArray[np.int16], saturated: NDArray[np.bool_]) -> LayerRounding:
        """Compare exact weights in units of 1.0 with rounded weights in Q3.12."""
        size = float(np.sqrt(np.mean(exact**2)))
        error = float(np.sqrt(np.mean((rounded / WEIGHT.one - exact) ** 2)))
        return cls(name, float(abs(exact).max()), float(saturated.mean()), error / size if size else 0.0)

    @property
    def signal_to_noise(self) -> float | None:
        """Signal to quantization noise ratio in dB; None if rounding was exact."""
        return -20 * log10(self.error) if self.error else None


@dataclass(frozen=True)
class Behaviour:
    """Comparison of the floating-point and the rounded network on the same samples."""

    samples: int
    firing_rates: tuple[float, ...]
    """Spikes per neuron and time step of the floating-point network, by hidden layer."""
    spikes_differ: tuple[float, ...]
    """Fraction of neurons and time steps in which only one of the networks spikes, by hidden layer."""
    decisions_differ: float
    """Fraction of samples with different decisions."""
    accuracy_before: float
    accuracy_after: float


@dataclass(frozen=True)
class RoundingReport:
    """Report on rounding a network to the chip's formats."""

    weight_bits: int
    layers: tuple[LayerRounding, ...]
    behaviour: Behaviour | None = None

    @property
    def saturates(self) -> bool:
        """Whether any weight is outside the range of the format."""
        return any(layer.saturated for layer in self.layers)

    def figures(self) -> dict[str, Any]:
        """All figures, ready for JSON."""
        layers = [asdict(layer) | {"signal_to_noise_db": layer.signal_to_noise} for layer in self.layers]
        facts: dict[str, Any] = {"weight_bits": self.weight_bits, "layers": layers}
        return facts | {"behaviour": None if self.behaviour is None else asdict(self.behaviour)}

    def table(self) -> str:
        """Text table: a line per layer, then the comparison of the networks."""
        width = max(5, *(len(layer.name) for layer in self.layers))
        lines = [f"{'layer':{width}}  largest  saturated  rms error  signal to noise"]
        for layer in self.layers:
            noise = layer.signal_to_noise
            lines.append(
                f"{layer.name:{width}}  {layer.largest:7.3f}  {layer.saturated:9.3%}  {layer.error:9.4%}  "
                + ("exact" if noise is None else f"{noise:.1f} dB")
            )
        if self.behaviour is not None:
            some = self.behaviour
            layers = enumerate(zip(some.firing_rates, some.spikes_differ, strict=True), 1)
            lines += [
                f"hidden layer {number}: firing rate {rate:.4f}, {share:.4%} of neurons and time steps differ"
                for number, (rate, share) in layers
            ]
            lines += [
                f"decisions that differ: {some.decisions_differ:.2%} of {some.samples} samples",
                f"accuracy: {some.accuracy_before:.2%} before, {some.accuracy_after:.2%} on the chip",
            ]
        return "\n".join(lines)


def compare(
    network: Network,
    layers: Sequence[FloatLayer],
    weights: Sequence[NDArray[np.int16]],
    samples: Frames | Events,
    neurons: Sequence[FloatNeurons] | None = None,
) -> Behaviour:
    """Run layers in the chip's conventions and the rounded weights on the same samples.

    ``neurons`` are those of the float network, None if they are those of ``network``.
    """
    before, after = FloatNetwork.of(network, layers, neurons), ChipNetwork(network, weights)
    spikes, differ = np.zeros((2, len(network.hidden)))
    differing, correct_before, correct_after = 0, 0, 0
    size = max(1, BATCH_VALUES // (network.steps * sum(network.neurons)))
    for begin in range(0, len(samples), size):
        some = np.arange(begin, min(begin + size, len(samples)))
        values = torch.from_numpy(_channel_first(network, samples, some))
        labels = torch.from_numpy(samples.y[some].astype(np.int64))
        first, second = before(signals(network, values)), after(values)
        spikes += [float(s.sum()) for s in first.spikes]
        differ += [float((a != b).sum()) for a, b in zip(first.spikes, second.spikes, strict=True)]
        differing += int((first.decisions != second.decisions).sum())
        correct_before += int((first.decisions == labels).sum())
        correct_after += int((second.decisions == labels).sum())
    moments = len(samples) * network.steps * np.array(network.hidden)
    return Behaviour(
        len(samples),
        tuple((spikes / moments).tolist()),
        tuple((differ / moments).tolist()),
        differing / len(samples),
        correct_before / len(samples),
        correct_after / len(samples),
    )


def _channel_first(network: Network, samples: Frames | Events, indices: NDArray[np.intp]) -> NDArray[np.uint8]:
    """Values of samples as the networks take them: those of a convolution's input channel by channel."""
    values = samples.dense(indices)
    if network.input_map is None or not getattr(samples, "channels_last", False):
        return values
    channels, height, width = network.input_map.shape
    return np.moveaxis(values.reshape(-1, height, width, channels), -1, 1).reshape(len(values), -1)
