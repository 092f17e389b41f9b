"""What a device holds that training goes on from: the same on every device with as many lanes."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from opzo.host.device import Device
from opzo.host.initial import initial_feedback, initial_weights
from opzo.host.rates import feedback_shift
from opzo.spec.errors import OpzoError
from opzo.spec.lfsr import lane_states
from opzo.spec.network import Network, Rule


@dataclass(frozen=True)
class State:
    """Weights and whatever else one training sample hands to the next.

    Attributes
    ----------
    weights : list of int16 (n_in + 1, n_out)
        Q3.12; the last row is the bias.
    feedback : list of int16 (classes, n)
        Feedback matrices of the hidden layers; empty for rules without.
    feedback_shift : uint8 (hidden layers,)
    lfsr : uint32 (lanes,)
    samples : int
        Training samples since the seed was set.
    """

    weights: list[NDArray[np.int16]]
    feedback: list[NDArray[np.int16]]
    feedback_shift: NDArray[np.uint8]
    lfsr: NDArray[np.uint32]
    samples: int

    @classmethod
    def initial(cls, network: Network, rule: Rule, seed: int, lanes: int) -> Self:
        """State that a seed stands for."""
        feedback = initial_feedback(network, rule, seed)
        shifts = [feedback_shift(matrix, lanes) for matrix in feedback] or [0] * len(network.hidden)
        return cls(
            initial_weights(network, seed), feedback, np.array(shifts, np.uint8), lane_states(seed, lanes), samples=0
        )

    @classmethod
    def read(cls, device: Device, rule: Rule) -> Self:
        """State of a configured device."""
        assert device.network is not None
        hidden = len(device.network.hidden)
        return cls(
            [device.read_weights(layer) for layer in range(hidden + 1)],
            [device.read_feedback(layer) for layer in range(hidden)] if rule.feedback else [],
            device.read_feedback_shifts(),
            device.read_lfsr(),
            device.read_samples(),
        )

    def write(self, device: Device) -> None:
        """Put the state into a configured device; OpzoError where it has another number of lanes."""
        lanes = device.limits.lanes
        if len(self.lfsr) != lanes:
            raise OpzoError(
                f"training began with {len(self.lfsr)} lanes and {device.name} has {lanes}; "
                f"go on with a device of {len(self.lfsr)} lanes, or start anew"
            )
        self.write_weights(device)
        for layer, matrix in enumerate(self.feedback):
            device.write_feedback(layer, matrix)
        device.write_feedback_shifts(self.feedback_shift)
        device.write_lfsr(self.lfsr)
        device.write_samples(self.samples)

    def write_weights(self, device: Device) -> None:
        """Put only the weights into a configured device, which is all that inference needs."""
        for layer, matrix in enumerate(self.weights):
            device.write_weights(layer, matrix)
