"""The chip's forward pass in PyTorch, with its weights and arithmetic, for batches of samples.

Spikes, membrane potentials and readouts equal those of the golden model exactly. All numbers are integers below 2**53,
which double precision represents exactly, so the sums can be matrix products.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from opzo.host.exchange.float_layers import weight_of_rows
from opzo.host.exchange.weighted_sum import cells, of_neurons, weighted_sum
from opzo.spec.formats import ACCUMULATOR, BIAS_INPUT, MEMBRANE, PRODUCT_SHIFT, SPIKE_INPUT, THRESHOLD
from opzo.spec.layers import LayerShape
from opzo.spec.network import Network
from opzo.spec.neurons import Leak, Reset
from opzo.spec.rules import Input


class Forward(NamedTuple):
    """Result of a forward pass on a batch of samples.

    In raw units of MEMBRANE (Q7.12) from a ChipNetwork, in units of the threshold from a FloatNetwork.
    """

    potentials: list[Tensor]
    """Membrane potentials of each hidden layer before the reset: (samples, steps, n)."""
    spikes: list[Tensor]
    """Spikes of each hidden layer, 0 or 1: (samples, steps, n)."""
    outputs: Tensor
    """Readouts of each step: (samples, steps, classes)."""

    @property
    def decisions(self) -> Tensor:
        """Class with the largest readout sum, the lowest one in a tie: int64 (samples,)."""
        return self.outputs.sum(1).argmax(1)


class ChipNetwork(nn.Module):
    """A network computed as by the chip in test mode, without noise.

    Parameters
    ----------
    network : Network
    weights : sequence of int16 (n_in + 1, n_out)
        Q3.12, as in a checkpoint; the last row is the bias. ValueError if their shapes do not match ``network``.
    """

    def __init__(self, network: Network, weights: Sequence[NDArray[np.int16]]) -> None:
        super().__init__()
        shapes = list(network.weight_shapes)
        if [matrix.shape for matrix in weights] != shapes:
            raise ValueError(f"weights of {network} have shapes {shapes}, not {[matrix.shape for matrix in weights]}")
        self.network = network
        for number, (shape, matrix) in enumerate(zip(network.layers, weights, strict=True)):
            weight = torch.from_numpy(weight_of_rows(shape, matrix[:-1].astype(np.float64)))
            self.register_buffer(f"weight_{number}", weight)
            self.register_buffer(f"bias_{number}", of_neurons(shape, torch.from_numpy(matrix[-1].astype(np.float64))))

    def forward(self, x: Tensor) -> Forward:
        """Run integer samples: frames (samples, inputs) of values 0..255, or events (samples, steps, inputs).

        Inputs of a convolution, and neurons of its map, are channel-first. Spikes are 0 or 1, graded events 0 (none) to
        255. All results are integers in double precision.
        """
        if self.network.input is Input.SPIKES:
            current = self._integrate_spikes(0, x.double())
        elif self.network.input is Input.GRADED:
            current = self._integrate_values(x.double(), SPIKE_INPUT)
        else:
            # Equal in all steps.
            current = self._integrate_values(x.double(), BIAS_INPUT)[:, None].expand(-1, self.network.steps, -1)
        potentials, spikes = [], []
        for layer in range(1, len(self.network.layers)):
            u, s = fire(current, self.network.leak[layer - 1], self.network.reset[layer - 1])
            potentials.append(u)
            spikes.append(s)
            current = self._integrate_spikes(layer, s)
        return Forward(potentials, spikes, current)

    def _integrate_spikes(self, layer: int, spikes: Tensor) -> Tensor:
        """Currents (..., n_out) in MEMBRANE of spikes (..., n_in); the bias row spikes too. All products are exact."""
        shape, weight, bias = self._layer(layer)
        # The neurons of a pool's cell add up, the bias counts for each of them, then a quarter is taken.
        total = weighted_sum(shape, spikes, weight) + cells(shape) * bias
        return _to_membrane(total * (SPIKE_INPUT >> PRODUCT_SHIFT) / cells(shape))

    def _integrate_values(self, values: Tensor, bias_input: int) -> Tensor:
        """Currents (..., n_out) in MEMBRANE of input values 0..255 (..., n_in) and a bias row of value ``bias_input``.

        The chip floors each product before the sum. The total of the dropped bits is computed for each residue of the
        values, as a weighted sum.
        """
        shape, weight, bias = self._layer(0)
        unit = 1 << PRODUCT_SHIFT
        residues = values % unit
        total = weighted_sum(shape, values, weight)
        for residue in range(1, unit):
            total = total - weighted_sum(shape, (residues == residue).double(), residue * weight % unit)
        return _to_membrane(total / unit + (bias_input * bias / unit).floor())

    def _layer(self, number: int) -> tuple[LayerShape, Tensor, Tensor]:
        return self.network.layers[number], self.get_buffer(f"weight_{number}"), self.get_buffer(f"bias_{number}")

    def __call__(self, *arguments: Any) -> Forward:
        """Typed call of ``forward``."""
        result: Forward = super().__call__(*arguments)
        return result


def fire(current: Tensor, leak: Leak = Leak.HALF, reset: Reset = Reset.SUBTRACT) -> tuple[Tensor, Tensor]:
    """Membrane potentials before the reset, and spikes; all (samples, steps, n) in MEMBRANE, starting from v = 0."""
    v = torch.zeros_like(current[:, 0])
    potentials, spikes = torch.empty_like(current), torch.empty_like(current)
    for t in range(current.size(1)):
        u = _saturate(_leaked(v, leak) + current[:, t])
        potentials[:, t], spikes[:, t] = u, u >= THRESHOLD
        v = u - (u if reset is Reset.ZERO else THRESHOLD) * spikes[:, t]
    return potentials, spikes


def _leaked(v: Tensor, leak: Leak) -> Tensor:
    if leak is Leak.HALF:
        return (v / 2).floor()
    return v - (v / (1 << leak.shift)).floor() if leak.shift else v


def _to_membrane(total: Tensor) -> Tensor:
    """Floor and saturate sums in ACCUMULATOR to MEMBRANE."""
    return _saturate((total / (ACCUMULATOR.one // MEMBRANE.one)).floor())


def _saturate(values: Tensor) -> Tensor:
    return values.clamp(MEMBRANE.min, MEMBRANE.max)
