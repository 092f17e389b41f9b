"""The network of a device that only infers: what its registers and its weight memory hold from power-up on."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from opzo.spec.formats import WEIGHT
from opzo.spec.layout import Layer, all_hidden_words, all_places, all_rows
from opzo.spec.limits import MAX_CLASSES, MAX_INPUTS, MAX_ROWS, MAX_WORDS, Limits
from opzo.spec.network import Network
from opzo.spec.registers import network_registers, stored_bits
from opzo.spec.rules import Rule


def inference_limits(network: Network, lanes: int, weight_bits: int = WEIGHT.width, lanes_per_group: int = 2) -> Limits:
    """Smallest device with ``lanes`` lanes that only infers, with ``network``.

    Raises NetworkError if no device holds it.
    """
    convolves = int(len(network.convolutions) > 0)
    largest = Limits(
        lanes=lanes,
        rows=MAX_ROWS,
        inputs=MAX_INPUTS,
        words=MAX_WORDS,
        classes=MAX_CLASSES,
        weight_bits=weight_bits,
        layers=len(network.hidden),
        lanes_per_group=lanes_per_group,
        gradients=convolves,
        blocks=convolves,
        learning=False,
    )
    layers = network.layout(largest)
    words = all_hidden_words(layers)
    return Limits(
        lanes=lanes,
        rows=all_rows(layers),
        inputs=network.inputs,
        # Without convolutions a power of two, as in devices that learn.
        words=words if convolves else 1 << (words - 1).bit_length(),
        classes=network.classes,
        steps=network.run_steps,
        weight_bits=weight_bits,
        layers=len(network.hidden),
        lanes_per_group=lanes_per_group,
        gradients=convolves,
        blocks=convolves,
        first_words=layers[0].all_words,
        places=all_places(layers) if convolves else 0,
        learning=False,
    )


@dataclass(frozen=True)
class FixedNetwork:
    """A network that a device with ``limits`` holds and cannot change.

    Parameters
    ----------
    network : Network
    rule : Rule
        Rule that trained it, for the register; without effect.
    limits : Limits
        Those of `inference_limits`, or larger ones.
    rows : int16 (limits.rows, lanes)
        Content of the weight memory, in units of WEIGHT.

    Raises NetworkError where the network does not fit, ValueError for rows of another shape, for limits of a device
    that learns, or for a weight that the memory cannot hold.
    """

    network: Network
    rule: Rule
    limits: Limits
    rows: NDArray[np.int16]

    def __post_init__(self) -> None:
        self.network.check(self.limits)
        if self.limits.learning:
            raise ValueError("a device with a fixed network does not learn")
        if self.rows.shape != (self.limits.rows, self.limits.lanes):
            raise ValueError(f"rows have shape {self.rows.shape}, not {(self.limits.rows, self.limits.lanes)}")
        low, bits = self.limits.low_bits, self.limits.weight_bits
        stored = self.rows.astype(np.int32) >> low
        if (stored << low != self.rows).any() or (stored + (1 << bits - 1) >> bits).any():
            raise ValueError(f"a weight is not a value of {bits} bits")

    @classmethod
    def of(cls, network: Network, rule: Rule, limits: Limits, rows: Sequence[NDArray[np.int16]]) -> "FixedNetwork":
        """Network with the row-words of each layer's weights, the first layer first; errors as those of the class."""
        memory = np.zeros((limits.rows, limits.lanes), np.int16)
        for layer, words in zip(network.layout(limits), rows, strict=True):
            memory[layer.weight_base : layer.weight_base + len(words)] = words
        return cls(network, rule, limits, memory)

    @cached_property
    def layers(self) -> tuple[Layer, ...]:
        """Layers of weights in the device, the readout last."""
        return self.network.layout(self.limits)

    @cached_property
    def registers(self) -> dict[int, int]:
        """Content of all registers that the device has, by address; 0 where the network does not set it."""
        values = dict.fromkeys(stored_bits(self.limits), 0)
        return values | network_registers(self.network, self.limits, self.rule)

    def row_words(self, group: int, size: int) -> list[int]:
        """Content of the row memory of a group of ``size`` lanes: a word for each row, the first lane lowest."""
        bits = self.limits.weight_bits
        lanes = self.rows[:, group * size : (group + 1) * size].astype(np.int64) >> self.limits.low_bits
        entries = (lanes & ((1 << bits) - 1)).tolist()
        return [sum(entry << bits * lane for lane, entry in enumerate(row)) for row in entries]
