"""Limits of a device: what it was built for."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np

from opzo.spec.errors import NetworkError
from opzo.spec.formats import HISTORY_STEPS, ROW_LOW_BITS, WEIGHT
from opzo.spec.layers import BLOCK_CHOICES, BLOCKS
from opzo.spec.messages import shown
from opzo.spec.values import whole_number

MAX_HIDDEN = 5
"""Hidden layers that the register map has room for."""
USUAL_HIDDEN = 3
"""Hidden layers that a device has room for unless it is built for more."""
MAX_INPUTS = 16384
MAX_ROWS = 1 << 20
"""Row-words that the link can address."""
LANES = (4, 8, 16, 32, 64, 128)
GROUPS = (2, 4, 8)
"""Lanes that may share the units of a group (`Limits.lanes_per_group`)."""
MAX_CLASSES = 64
MAX_STORE = 1 << 28
"""Bytes of the largest sample store."""
MAX_WORDS = 8192
"""Words of all hidden layers together."""


def chunk_events(inputs: int) -> int:
    """Most events of a chunk for ``inputs`` inputs: those of one complete time step always fit."""
    return 1 << max(1, (inputs - 1).bit_length())


@dataclass(frozen=True)
class Limits:
    """What a device was built for; its `Identity` reports it.

    Parameters
    ----------
    lanes : int
        Lanes P: a power of two, 4 to 128.
    rows : int
        Row-words of the weight memory (P entries each).
    inputs : int
        Largest number of input addresses n_0.
    words : int
        Words (of P neurons) of all hidden layers together.
    classes : int
        Largest number of classes C.
    steps : int
        Largest number of time steps of a chunk (a frame sample is one).
    weight_bits : int
        Bits of a row entry (weight or feedback) in memory: 16 or 12.
    layers : int
        Largest number of hidden layers.
    lanes_per_group : int
        Lanes that share row memory, neuron units and command registers: 2, 4 or 8. Fewer need fewer cycles where words
        are short, more make a smaller chip. Nothing else depends on it, so `Identity` does not report it.
    gradients : int
        Row-words of the gradient accumulators of convolutions (P each); 0: a device without convolution.
    blocks : int
        *Block words*: words of the feedback blocks of all hidden layers together, where a dense layer is one block. 0
        without convolution, where they are ``words``.
    block : int
        Largest height and width of a feedback block: 1, 2, 4, ... 32; 1 without convolution.
    first_words : int
        Words of the first hidden layer, whose input currents are stored; 0: as many as ``words``.
    places : int
        *Places* of all hidden layers together, whose ends in the lists of spikes are stored: positions, or cells where
        a pool follows; 0: as many as ``words``.
    store : int
        Bytes of the sample store, an even number; 0: a device without one.
    learning : bool
        Whether the device can learn. One that only infers holds a `FixedNetwork`: it has no feedback entries,
        gradients, random states, histories, traces or sample store, and its weights and registers cannot be written.
        Any ``gradients`` but 0 then means that it has convolutions.
    """

    lanes: int
    rows: int
    inputs: int
    words: int
    classes: int
    steps: int = HISTORY_STEPS
    weight_bits: int = WEIGHT.width
    layers: int = USUAL_HIDDEN
    lanes_per_group: int = 2
    gradients: int = 0
    blocks: int = 0
    block: int = 1
    first_words: int = 0
    places: int = 0
    store: int = 0
    learning: bool = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "lanes", choice("lanes", self.lanes, LANES, "a power of two from 4 to 128"))
        if self.lanes_per_group not in GROUPS or self.lanes_per_group > self.lanes:
            raise NetworkError(
                f"lanes_per_group must be 2, 4 or 8, and at most the {self.lanes} lanes, not {self.lanes_per_group}"
            )
        choices = " or ".join(map(str, ROW_LOW_BITS))
        object.__setattr__(self, "weight_bits", choice("weight_bits", self.weight_bits, ROW_LOW_BITS, choices))
        for name, value, top in (
            ("rows", self.rows, MAX_ROWS),
            ("inputs", self.inputs, MAX_INPUTS),
            ("words", self.words, MAX_WORDS),
            ("classes", self.classes, MAX_CLASSES),
            ("steps", self.steps, HISTORY_STEPS),
            ("layers", self.layers, MAX_HIDDEN),
        ):
            object.__setattr__(self, name, whole_number(name, value, 1, top, error=NetworkError))
        for name, value in (("first_words", self.first_words), ("places", self.places)):
            object.__setattr__(self, name, whole_number(name, value, 0, self.words, error=NetworkError))
        object.__setattr__(self, "store", whole_number("store", self.store, 0, MAX_STORE, error=NetworkError))
        if self.store % 2:
            raise NetworkError(f"store must be an even number of bytes, not {self.store}")
        if self.store and not self.learning:
            raise NetworkError("a device that only infers has no sample store")
        gradients = whole_number("gradients", self.gradients, 0, MAX_ROWS, error=NetworkError)
        object.__setattr__(self, "gradients", gradients)
        self._check_blocks()

    def _check_blocks(self) -> None:
        if not self.gradients:
            if self.blocks or self.block != 1:
                raise NetworkError(
                    "a device without convolution (gradients 0) has blocks 0 and block 1, "
                    f"not {shown(self.blocks)} and {shown(self.block)}"
                )
            return
        blocks = whole_number("blocks", self.blocks, 1, MAX_WORDS, error=NetworkError)
        object.__setattr__(self, "blocks", blocks)
        object.__setattr__(self, "block", choice("block", self.block, BLOCKS, BLOCK_CHOICES))

    @property
    def events(self) -> int:
        """Events that one chunk may have."""
        return chunk_events(self.inputs)

    @property
    def low_bits(self) -> int:
        """Low bits of a row entry that the memory leaves out."""
        return ROW_LOW_BITS[self.weight_bits]

    def words_for(self, neurons: int) -> int:
        """Words of P lanes that ``neurons`` neurons (or inputs, or classes) need."""
        return words_for(neurons, self.lanes)

    @property
    def groups(self) -> int:
        """Groups of lanes."""
        return self.lanes // self.lanes_per_group

    @property
    def input_words(self) -> int:
        """Words of the input addresses."""
        return self.words_for(self.inputs)

    @property
    def readout_words(self) -> int:
        """Words of the classes."""
        return self.words_for(self.classes)

    @property
    def address_bits(self) -> int:
        """Bits of the address of a row-word, the same for all devices."""
        return (MAX_ROWS - 1).bit_length()

    @property
    def input_bits(self) -> int:
        """Bits of an input address, the same for all devices."""
        return (MAX_INPUTS - 1).bit_length()

    @property
    def row_bits(self) -> int:
        """Bits of a row's number in its word, 0 to MAX_INPUTS (the bias row), and of a count of inputs or events."""
        return MAX_INPUTS.bit_length()

    @property
    def word_bits(self) -> int:
        """Bits of the number of a word of hidden neurons."""
        return _bits(self.words)

    @property
    def stored_currents(self) -> int:
        """Words of neurons whose input currents are stored."""
        return self.first_words or self.words

    @property
    def stored_places(self) -> int:
        """Places of all hidden layers together whose ends are stored."""
        return self.places or self.words

    @property
    def store_bits(self) -> int:
        """Bits of the address of a word of two bytes of the sample store."""
        return _bits(self.store // 2)

    @property
    def block_bits(self) -> int:
        """Bits of the number of a block word; without convolution the words of neurons are the block words."""
        return _bits(self.blocks) if self.gradients else self.word_bits

    @property
    def lane_bits(self) -> int:
        """Bits of a lane's number."""
        return _bits(self.lanes)

    @property
    def neuron_bits(self) -> int:
        """Bits of the number of a hidden neuron: its word, then its lane."""
        return self.word_bits + self.lane_bits

    @property
    def class_bits(self) -> int:
        """Bits of the number of a class."""
        return _bits(self.classes)

    @property
    def layer_bits(self) -> int:
        """Bits of the number of a layer of weights, the same for all devices."""
        return MAX_HIDDEN.bit_length()


def words_for(neurons: int, lanes: int) -> int:
    """Words of ``lanes`` lanes that ``neurons`` neurons need."""
    return -(-neurons // lanes)


def choice(name: str, value: Any, choices: Collection[int], words: str) -> int:
    """``value`` as one of ``choices``, which ``words`` describe; NetworkError for another."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value not in choices:
        raise NetworkError(f"{name} must be {words}, not {shown(value)}")
    return int(value)


def _bits(count: int) -> int:
    """Bits of a number from 0 to ``count`` - 1; at least one."""
    return max(1, (count - 1).bit_length())
