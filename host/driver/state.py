"""State of a device that training resumes from: the same on all devices with the same number of lanes."""

from dataclasses import dataclass, field
from typing import Self

import numpy as np
from numpy.typing import NDArray

from opzo.host.driver.device import Device
from opzo.host.driver.initial_weights import (
    feedback_shift,
    initial_feedback,
    initial_intermediate,
    initial_local,
    initial_weights,
)
from opzo.host.driver.row_layout import round_entries
from opzo.spec.errors import OpzoError
from opzo.spec.formats import MAGNITUDE_MAX
from opzo.spec.lfsr import lane_states
from opzo.spec.limits import Limits
from opzo.spec.network import Network
from opzo.spec.registers import Reg
from opzo.spec.rules import Rule


@dataclass(frozen=True)
class State:
    """Weights and everything else that carries over from one training sample to the next.

    Attributes
    ----------
    weights : list of int16 (n_in + 1, n_out)
        Q3.12; the last row is the bias.
    feedback : list of int16 (classes, n)
        Feedback matrices of the hidden layers; empty for rules without feedback.
    local : list of int16 (classes, n)
        Local readouts of the hidden layers that have one, Q3.12.
    feedback_shift : uint8 (hidden layers,)
    lfsr : uint32 (lanes,)
    samples : int
        Training samples since the seed was set.
    weight_bits : int
        Bits per weight in the device's memory.
    gradients : list of int32 (n_in + 1, n_out)
        Gradient accumulators of the convolutions.
    magnitudes : uint32 (convolutions,)
        Running sums of the gradients (register MAGNITUDE).
    pending : int
        Training runs whose gradients have not changed the weights of convolutions yet.
    intermediate : list of int16 (classes, n)
        Intermediate feedback matrices of the layers before the intermediate one; empty for rules without feedback.
    """

    weights: list[NDArray[np.int16]]
    feedback: list[NDArray[np.int16]]
    local: list[NDArray[np.int16]]
    feedback_shift: NDArray[np.uint8]
    lfsr: NDArray[np.uint32]
    samples: int
    weight_bits: int
    gradients: list[NDArray[np.int32]]
    magnitudes: NDArray[np.uint32]
    pending: int = 0
    intermediate: list[NDArray[np.int16]] = field(default_factory=list)

    @classmethod
    def initial(cls, network: Network, rule: Rule, seed: int, limits: Limits) -> Self:
        """State for a seed before the first sample, for a device with ``limits``."""
        low = limits.low_bits
        # A narrow memory has less range; its feedback shift makes up for the smaller entries of a random matrix.
        feedback, intermediate = (
            [round_entries(matrix >> low, low) for matrix in initial(network, rule, seed)]
            for initial in (initial_feedback, initial_intermediate)
        )
        shifts = [0] * len(network.hidden)
        for index, matrix in enumerate(feedback):
            # One shift for both matrices of a layer.
            both = np.concatenate([matrix, *intermediate[index : index + 1]])
            shifts[index] = feedback_shift(both.reshape(-1, network.layers[index].map.channels), limits.lanes)
        return cls(
            [round_entries(matrix, low) for matrix in initial_weights(network, seed)],
            feedback,
            [round_entries(matrix, low) for matrix in initial_local(network, seed)],
            np.array(shifts, np.uint8),
            lane_states(seed, limits.lanes),
            samples=0,
            weight_bits=limits.weight_bits,
            gradients=[np.zeros((layer.rows, layer.map.channels), np.int32) for layer in network.convolutions],
            magnitudes=np.full(len(network.convolutions), MAGNITUDE_MAX, np.uint32),
            intermediate=intermediate,
        )

    @classmethod
    def read(cls, device: Device, rule: Rule) -> Self:
        """Read the state of a configured device; OpzoError for one that only infers."""
        device.require_learning()
        assert device.network is not None
        hidden, before = len(device.network.hidden), len(device.network.intermediate_shapes)
        return cls(
            [device.read_weights(layer) for layer in range(hidden + 1)],
            [device.read_feedback(layer) for layer in range(hidden)] if rule.feedback else [],
            [device.read_local(layer) for layer in range(device.network.local)],
            device.read_feedback_shifts(),
            device.read_lfsr(),
            device.read_samples(),
            device.limits.weight_bits,
            [device.read_gradients(layer) for layer in range(len(device.network.convolutions))],
            device.read_magnitudes(),
            device.read_registers(Reg.PENDING)[0],
            [device.read_intermediate(layer) for layer in range(before)] if rule.feedback else [],
        )

    def check(self, device: Device) -> None:
        """Raise OpzoError where ``device`` differs in lanes or bits per weight."""
        for what, ours, theirs in (
            ("lanes", len(self.lfsr), device.limits.lanes),
            ("bits per weight", self.weight_bits, device.limits.weight_bits),
        ):
            if ours != theirs:
                raise OpzoError(
                    f"training began with {ours} {what} and {device.name} has {theirs}; "
                    f"use a device with {ours} {what}, or start a new run"
                )

    def write(self, device: Device) -> None:
        """Write the state to a configured device; OpzoError where it differs in lanes or bits per weight.

        A device that only infers must hold these weights, which are all that it needs (`Device.write_weights`).
        """
        self.check(device)
        self.write_weights(device)
        if not device.limits.learning:
            return
        for layer, matrix in enumerate(self.feedback):
            device.write_feedback(layer, matrix)
        for layer, matrix in enumerate(self.local):
            device.write_local(layer, matrix)
        for layer, matrix in enumerate(self.intermediate):
            device.write_intermediate(layer, matrix)
        device.write_feedback_shifts(self.feedback_shift)
        device.write_lfsr(self.lfsr)
        device.write_samples(self.samples)
        for layer, gradients in enumerate(self.gradients):
            device.write_gradients(layer, gradients)
        device.write_magnitudes(self.magnitudes)
        device.write_registers({Reg.PENDING: self.pending})

    def write_weights(self, device: Device) -> None:
        """Write only the weights, which inference needs, to a configured device; rounded to its bits per weight."""
        for layer, matrix in enumerate(self.weights):
            device.write_weights(layer, round_entries(matrix, device.limits.low_bits))
