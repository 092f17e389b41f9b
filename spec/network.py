"""Network description, the limits of a device, and where a network lies in the device's memories."""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from opzo.spec.errors import NetworkError
from opzo.spec.formats import HISTORY_STEPS, MAX_STEPS, ROW_LOW_BITS, WEIGHT
from opzo.spec.messages import shown
from opzo.spec.rules import Input
from opzo.spec.values import whole_number

MAX_HIDDEN = 5
"""Hidden layers that the register map has room for."""
USUAL_HIDDEN = 3
"""Hidden layers that a device has room for unless it is built for more."""
MAX_INPUTS = 4096
MAX_ROWS = 1 << 20
"""Row-words that the link can address."""
LANES = (4, 8, 16, 32, 64, 128)
GROUPS = (2, 4, 8)
"""Lanes that may share the units of a group (`Limits.lanes_per_group`)."""
MAX_CLASSES = 64
MAX_LOCAL_CLASSES = 32
"""Classes with local learning: two sums over so many never leave the accumulator."""
MAX_NEURONS = 1 << 20
"""Neurons of one layer, far beyond any device."""


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

    def __post_init__(self) -> None:
        object.__setattr__(self, "lanes", _choice("lanes", self.lanes, LANES, "a power of two from 4 to 128"))
        if self.lanes_per_group not in GROUPS or self.lanes_per_group > self.lanes:
            raise NetworkError(
                f"lanes_per_group must be 2, 4 or 8, and at most the {self.lanes} lanes, not {self.lanes_per_group}"
            )
        choices = " or ".join(map(str, ROW_LOW_BITS))
        object.__setattr__(self, "weight_bits", _choice("weight_bits", self.weight_bits, ROW_LOW_BITS, choices))
        for name, value, top in (
            ("rows", self.rows, MAX_ROWS),
            ("inputs", self.inputs, MAX_INPUTS),
            ("words", self.words, 1024),
            ("classes", self.classes, MAX_CLASSES),
            ("steps", self.steps, HISTORY_STEPS),
            ("layers", self.layers, MAX_HIDDEN),
        ):
            object.__setattr__(self, name, whole_number(name, value, 1, top, error=NetworkError))

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


@dataclass(frozen=True)
class Layer:
    """One layer of weights: where it lies, and the shape of its postsynaptic words.

    Row ``i`` of word ``w`` is row-word ``weight_base + w * rows + i``; the bias is the last row. Entry ``k`` of
    the feedback matrix for word ``w`` is row-word ``feedback_base + w * classes + k``. Where the layer has a local
    readout (``local``), both it and the feedback matrix are ``2 * classes`` row-words a word: first the readout's
    entries, then those of the matrix. ``word_base`` is the layer's first word in the memories of the lanes (membrane,
    surrogate, credit).
    """

    rows: int
    neurons: int
    words: int
    tail: int
    weight_base: int
    feedback_base: int
    word_base: int
    local: bool = False


@dataclass(frozen=True, init=False, repr=False)
class Network:
    """A spiking network. Raises NetworkError for one that does not fit any device.

    Parameters
    ----------
    sizes : sequence of int, or str
        Neurons of each layer: inputs, 1 to 5 hidden layers, classes; ``(64, 64, 10)`` or ``"64-64-10"``.
    steps : int
        Time steps T a sample.
    local : int
        Hidden layers, from the first on, with a local readout (local learning).
    input : Input or str
        What samples consist of: ``frame``, ``spikes`` or ``graded``.
    """

    sizes: tuple[int, ...]
    steps: int
    local: int
    input: Input

    def __init__(
        self,
        sizes: Sequence[int] | NDArray[np.integer] | str,
        steps: int = 6,
        local: int = 0,
        input: Input | str = Input.FRAME,
    ) -> None:
        fields = {"sizes": _sizes(sizes), "steps": steps, "local": local, "input": Input.parse(input)}
        for name, value in fields.items():
            object.__setattr__(self, name, value)
        if not 3 <= len(self.sizes) <= MAX_HIDDEN + 2:
            raise NetworkError(
                f"a network has 1 to {MAX_HIDDEN} hidden layers, written inputs-hidden-...-classes; "
                f"'{self}' has {max(len(self.sizes) - 2, 0)}"
            )
        if self.classes < 2:
            raise NetworkError(f"{self} has {self.classes} class; the least is 2")
        object.__setattr__(self, "steps", whole_number("steps", steps, 1, MAX_STEPS, error=NetworkError))
        object.__setattr__(self, "local", whole_number("local", local, 0, MAX_HIDDEN, error=NetworkError))
        if self.local > len(self.hidden):
            raise NetworkError(
                f"local is {self.local} hidden layers with a local readout; {self} has {len(self.hidden)}"
            )
        if self.local and self.classes > MAX_LOCAL_CLASSES:
            raise NetworkError(
                f"{self} has {self.classes} classes; local learning allows {MAX_LOCAL_CLASSES}: set local to 0 "
                "(--local 0)"
            )

    def __str__(self) -> str:
        return "-".join(map(str, self.sizes))

    def __repr__(self) -> str:
        local = f", local={self.local}" if self.local else ""
        kind = f", input='{self.input.name.lower()}'" if self.input.events else ""
        return f"Network('{self}', steps={self.steps}{local}{kind})"

    @classmethod
    def parse(cls, text: str, steps: int = 6, local: int = 0, input: Input | str = Input.FRAME) -> "Network":
        """Network from a text like ``784-256-256-10``."""
        return cls(text, steps, local, input)

    @property
    def inputs(self) -> int:
        """Input addresses n_0."""
        return self.sizes[0]

    @property
    def hidden(self) -> tuple[int, ...]:
        """Neurons of each hidden layer."""
        return self.sizes[1:-1]

    @property
    def classes(self) -> int:
        """Classes C."""
        return self.sizes[-1]

    @property
    def _steps_a_run(self) -> int:
        """Most time steps of a run."""
        return self.input.run_steps if self.input.events else self.steps

    def check(self, limits: Limits) -> None:
        """Raise NetworkError, which names the limit, if a device with ``limits`` is too small for the network."""
        words = sum(map(limits.words_for, self.hidden))
        layers = self._place(limits.lanes)
        needed = layers[-1].weight_base + layers[-1].rows * layers[-1].words
        for what, value, limit in (
            ("inputs", self.inputs, limits.inputs),
            ("hidden layers", len(self.hidden), limits.layers),
            ("classes", self.classes, limits.classes),
            ("time steps", self._steps_a_run, limits.steps),
            (f"words of {limits.lanes} hidden neurons", words, limits.words),
            (f"row-words of {limits.lanes} weights", needed, limits.rows),
        ):
            if value > limit:
                raise NetworkError(f"{self} needs {value} {what}; the device has {limit}")

    def layout(self, limits: Limits) -> tuple[Layer, ...]:
        """Place the network in a device; one Layer for each layer of weights, the readout last.

        Raises NetworkError if it does not fit.
        """
        self.check(limits)
        return self._place(limits.lanes)

    def limits(self, lanes: int, weight_bits: int = WEIGHT.width) -> Limits:
        """Smallest usual device with ``lanes`` lanes that holds the network, sizes rounded up so that builds recur."""
        lanes = _choice("lanes", lanes, LANES, "a power of two from 4 to 128")
        layers = self._place(lanes)
        rows = layers[-1].weight_base + layers[-1].rows * layers[-1].words
        return Limits(
            lanes=lanes,
            rows=-(-rows // 1024) * 1024,
            inputs=min(MAX_INPUTS, max(256, 1 << self.inputs.bit_length())),
            words=max(8, 1 << (sum(layer.words for layer in layers[:-1]) - 1).bit_length()),
            classes=16 if self.classes <= 16 else 64,
            weight_bits=weight_bits,
            layers=max(USUAL_HIDDEN, len(self.hidden)),
        )

    def _place(self, lanes: int) -> tuple[Layer, ...]:
        layers: list[Layer] = []
        address = word = 0
        for rows, neurons in zip(self.sizes[:-1], self.sizes[1:], strict=True):
            words = words_for(neurons, lanes)
            last = len(layers) == len(self.hidden)
            local = len(layers) < self.local
            feedback = 0 if last else self.classes * words * (1 + local)
            layers.append(
                Layer(
                    rows=rows + 1,
                    neurons=neurons,
                    words=words,
                    tail=neurons - (words - 1) * lanes,
                    weight_base=address + feedback,
                    feedback_base=address,
                    word_base=0 if last else word,
                    local=local,
                )
            )
            address += feedback + (rows + 1) * words
            word += words
        return tuple(layers)


def words_for(neurons: int, lanes: int) -> int:
    """Words of ``lanes`` lanes that ``neurons`` neurons need."""
    return -(-neurons // lanes)


def _bits(count: int) -> int:
    """Bits of a number from 0 to ``count`` - 1; at least one."""
    return max(1, (count - 1).bit_length())


def _choice(name: str, value: Any, choices: Collection[int], words: str) -> int:
    """``value`` as one of ``choices``, which ``words`` describe; NetworkError for another."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value not in choices:
        raise NetworkError(f"{name} must be {words}, not {shown(value)}")
    return int(value)


def _sizes(given: Sequence[int] | NDArray[np.integer] | str) -> tuple[int, ...]:
    """Neurons of each layer, from a text or from numbers; NetworkError if they are not those of a network."""
    if isinstance(given, str):
        parts = given.strip().split("-")
        # More digits are refused by Python itself.
        if not all(part.isascii() and part.isdigit() and len(part) < 1000 for part in parts):
            meant = re.sub(r"\s*[\s,;x*/_-]\s*", "-", given.strip().lower())
            hint = f" (did you mean {shown(meant)}?)" if re.fullmatch("[0-9]+(-[0-9]+)+", meant) else ""
            raise NetworkError(f"{shown(given)} is not a network{hint}; write it like 64-64-64-10")
        sizes: Sequence[Any] = [int(part) for part in parts]
    elif isinstance(given, bytes | bytearray) or not isinstance(given, Sequence | np.ndarray):
        raise NetworkError(f"{shown(given)} is not a network; give its layers, like (64, 64, 10) or '64-64-10'")
    else:
        sizes = list(np.atleast_1d(given)) if isinstance(given, np.ndarray) else given
    return tuple(
        whole_number(f"neurons of layer {layer}", size, 1, MAX_NEURONS, error=NetworkError)
        for layer, size in enumerate(sizes)
    )
