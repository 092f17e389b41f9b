"""What happens inside a network while samples run through it, step by step, as arrays."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from opzo.host.data.class_names import Names
from opzo.spec.network import Network


@dataclass(frozen=True, repr=False)
class Recording:
    """Record of samples, by hidden layer and time step.

    The arrays of a hidden layer are (count, steps, n), or (count, steps, channels, height, width) for a convolution.
    Potentials, readouts and noise are in units of the threshold. All floats are exact values of the device.

    Attributes
    ----------
    network : Network
    learn : bool
        Whether the network learned from the samples, with noise; ``credits`` are 0 if not.
    labels : uint8 (count,) or None
        Labels; None if they are unknown. Then there are no ``losses`` and ``errors``.
    predictions : intp (count,)
    spikes : tuple of bool arrays
    potentials : tuple of float32 arrays
        Membrane potentials at the end of the step, after the reset.
    traces : tuple of float32 arrays
        Traces of the neurons' spikes, which the next layer learns with: a spike of this step counts 1, one of the step
        before 1/2, and so on; 7 fraction bits, rounded down.
    credits : tuple of float32 arrays
        Surrogate derivative x learning signal x step size, with the cost of a spike. A weight changes by minus this for
        each unit of the trace before it (in a convolution, by less or more: its gradients are scaled).
    readouts : float32 (count, steps, classes)
    losses : float32 (count, steps) or None
        Cross entropy in bits.
    errors : float32 (count, steps, classes) or None
        Softmax probability, minus 1 for the label, plus the share of the squared error (``mse``); 8 fraction bits.
    class_names : tuple of str
        Class names in order of label; empty if unknown.
    """

    network: Network
    learn: bool
    labels: NDArray[np.uint8] | None
    predictions: NDArray[np.intp]
    spikes: tuple[NDArray[np.bool_], ...]
    potentials: tuple[NDArray[np.float32], ...]
    traces: tuple[NDArray[np.float32], ...]
    credits: tuple[NDArray[np.float32], ...]
    readouts: NDArray[np.float32]
    losses: NDArray[np.float32] | None
    errors: NDArray[np.float32] | None
    class_names: Names = ()

    def __repr__(self) -> str:
        learned = ", learning" if self.learn else ""
        return f"<Recording: {len(self):,} samples of {self.steps} time steps through {self.network!r}{learned}>"

    def __len__(self) -> int:
        return len(self.predictions)

    @property
    def steps(self) -> int:
        """Time steps per sample."""
        return int(self.readouts.shape[1])

    @property
    def firing_rates(self) -> list[float]:
        """Spikes per neuron and time step, for each hidden layer."""
        return [float(spikes.mean()) for spikes in self.spikes]
