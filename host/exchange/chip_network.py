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

from opzo.spec.formats import ACCUMULATOR, BIAS_INPUT, MEMBRANE, PRODUCT_SHIFT, SPIKE_INPUT, THRESHOLD
from opzo.spec.network import Network
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
        for layer, matrix in enumerate(weights):
            self.register_buffer(f"weights_{layer}", torch.from_numpy(matrix.astype(np.float64)))

    def forward(self, x: Tensor) -> Forward:
        """Run integer samples: frames (samples, inputs) of values 0..255, or events (samples, steps, inputs).

        Spikes are 0 or 1, graded events 0 (none) to 255. All results are integers in double precision.
        """
        first, *weights = (self.get_buffer(f"weights_{layer}") for layer in range(len(self.network.layers)))
        if self.network.input is Input.SPIKES:
            current = _integrate_spikes(x.double(), first)
        elif self.network.input is Input.GRADED:
            current = _integrate_values(x.double(), first, SPIKE_INPUT)
        else:
            # Equal in all steps.
            current = _integrate_values(x.double(), first, BIAS_INPUT)[:, None].expand(-1, self.network.steps, -1)
        potentials, spikes = [], []
        for matrix in weights:
            u, s = fire(current)
            potentials.append(u)
            spikes.append(s)
            current = _integrate_spikes(s, matrix)
        return Forward(potentials, spikes, current)

    def __call__(self, *arguments: Any) -> Forward:
        """Typed call of ``forward``."""
        result: Forward = super().__call__(*arguments)
        return result


def fire(current: Tensor) -> tuple[Tensor, Tensor]:
    """Membrane potentials before the reset, and spikes; all (samples, steps, n) in MEMBRANE, starting from v = 0."""
    v = torch.zeros_like(current[:, 0])
    potentials, spikes = torch.empty_like(current), torch.empty_like(current)
    for t in range(current.size(1)):
        u = _saturate((v / 2).floor() + current[:, t])
        potentials[:, t], spikes[:, t] = u, u >= THRESHOLD
        v = u - THRESHOLD * spikes[:, t]
    return potentials, spikes


def _integrate_spikes(spikes: Tensor, weights: Tensor) -> Tensor:
    """Currents (..., n_out) in MEMBRANE of spikes (..., n_in); the bias row spikes too. All products are exact."""
    return _to_membrane((spikes @ weights[:-1] + weights[-1]) * (SPIKE_INPUT >> PRODUCT_SHIFT))


def _integrate_values(values: Tensor, weights: Tensor, bias: int) -> Tensor:
    """Currents (..., n_out) in MEMBRANE of values 0..255 (..., n_in) and a bias row of value ``bias``.

    The chip floors each product before the sum. The total of the dropped bits is computed for each residue of the
    values, as a matrix product.
    """
    rows = torch.cat([values, torch.full_like(values[..., :1], bias)], -1)
    unit = 1 << PRODUCT_SHIFT
    residues = rows % unit
    lost = torch.zeros_like(rows[..., :1])
    for residue in range(1, unit):
        lost = lost + (residues == residue).double() @ (residue * weights % unit)
    return _to_membrane((rows @ weights - lost) / unit)


def _to_membrane(total: Tensor) -> Tensor:
    """Floor and saturate sums in ACCUMULATOR to MEMBRANE."""
    return _saturate((total / (ACCUMULATOR.one // MEMBRANE.one)).floor())


def _saturate(values: Tensor) -> Tensor:
    return values.clamp(MEMBRANE.min, MEMBRANE.max)
