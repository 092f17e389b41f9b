"""Network description, the limits of a device, and where a network lies in the device's memories."""

from dataclasses import dataclass
from enum import IntEnum
from typing import TypeVar

from opzo.spec.errors import NetworkError
from opzo.spec.formats import HISTORY_STEPS, MAX_STEPS, ROW_LOW_BITS, WEIGHT

MAX_HIDDEN = 3
"""Hidden layers that the register map has room for."""


MAX_INPUTS = 4096
GROUPS = (2, 4, 8)
"""Lanes that may share a fire unit."""
MAX_CLASSES = 64
MAX_LOCAL_CLASSES = 32
"""Classes with local learning: two sums over so many never leave the accumulator."""


def chunk_events(inputs: int) -> int:
    """Events that a chunk may have where there are ``inputs`` inputs: those of a whole time step always fit."""
    return 1 << max(1, (inputs - 1).bit_length())


E = TypeVar("E", bound=IntEnum)


def _parse(kinds: type[E], name: str, what: str) -> E:
    try:
        return kinds[name.upper()]
    except KeyError:
        names = ", ".join(kind.name.lower() for kind in kinds)
        raise NetworkError(f"there is no {what} '{name}'; choose one of {names}") from None


class Input(IntEnum):
    """What a sample consists of; the value is the content of register INPUT."""

    FRAME = 0
    """Values that are constant over the sample, which is one chunk."""
    SPIKES = 1
    """Events (time step, address), each a spike of 1.0; a sample is any number of chunks."""
    GRADED = 2
    """Events (time step, address, value), value / 256; chunks have one time step."""

    @property
    def events(self) -> bool:
        """Whether samples are lists of events in time."""
        return self is not Input.FRAME

    @classmethod
    def parse(cls, name: str) -> "Input":
        """Kind of a name as written on the command line; NetworkError for an unknown one."""
        return _parse(cls, name, "input")


class Rule(IntEnum):
    """How the error reaches the hidden layers; the value is the content of register RULE."""

    OPZO = 0
    """Momentum feedback matrices, learned from injected noise (the paper's method)."""
    DFA = 1
    """Fixed random feedback matrices; no noise."""
    ZO = 2
    """Zeroth order: loss times noise; no feedback matrix."""
    READOUT = 3
    """Hidden layers frozen; only the read-out learns."""

    @property
    def noise(self) -> bool:
        """Whether training injects noise before the neuron."""
        return self in (Rule.OPZO, Rule.ZO)

    @property
    def feedback(self) -> bool:
        """Whether feedback matrices exist."""
        return self in (Rule.OPZO, Rule.DFA)

    @classmethod
    def parse(cls, name: str) -> "Rule":
        """Rule of a name as written on the command line; NetworkError for an unknown one."""
        return _parse(cls, name, "learning rule")


@dataclass(frozen=True)
class Limits:
    """What a device was built for; Identify reports it.

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
    group : int
        Lanes that share a fire unit: 2, 4 or 8. Fewer need fewer cycles where words are short, more make a smaller
        chip; nothing else depends on it, so Identity does not tell.
    """

    lanes: int
    rows: int
    inputs: int
    words: int
    classes: int
    steps: int = HISTORY_STEPS
    weight_bits: int = WEIGHT.width
    group: int = 2

    def __post_init__(self) -> None:
        if self.lanes not in (4, 8, 16, 32, 64, 128):
            raise NetworkError(f"lanes must be a power of two from 4 to 128, not {self.lanes}")
        if self.group not in GROUPS or self.group > self.lanes:
            raise NetworkError(f"group must be 2, 4 or 8, and not more than the {self.lanes} lanes, not {self.group}")
        if self.weight_bits not in ROW_LOW_BITS:
            choices = " or ".join(map(str, ROW_LOW_BITS))
            raise NetworkError(f"weight_bits must be {choices}, not {self.weight_bits}")
        for name, value, top in (
            ("rows", self.rows, 1 << 20),
            ("inputs", self.inputs, MAX_INPUTS),
            ("words", self.words, 1024),
            ("classes", self.classes, MAX_CLASSES),
            ("steps", self.steps, HISTORY_STEPS),
        ):
            if not 1 <= value <= top:
                raise NetworkError(f"{name} must be in 1..{top}, not {value}")

    @property
    def events(self) -> int:
        """Events that one chunk may have."""
        return chunk_events(self.inputs)

    @property
    def low_bits(self) -> int:
        """Low bits of a row entry that the memory leaves out."""
        return ROW_LOW_BITS[self.weight_bits]


@dataclass(frozen=True)
class Layer:
    """One layer of weights: where it lies, and the shape of its postsynaptic words.

    Row ``i`` of word ``w`` is row-word ``weight_base + w * rows + i``; the bias is the last row. Entry ``k`` of
    the feedback matrix for word ``w`` is row-word ``feedback_base + w * classes + k``. Where the layer has a local
    read-out (``local``), both it and the feedback matrix are ``2 * classes`` row-words a word: first the read-out's
    entries, then those of the matrix. ``word_base`` is the layer's first word in the per-lane memories (membrane,
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


@dataclass(frozen=True)
class Network:
    """A spiking network: ``sizes`` = (inputs, hidden ..., classes), ``steps`` = time steps T a sample.

    The first ``local`` hidden layers have a local read-out, for local learning. ``input`` says what samples consist of.
    Raises NetworkError for a network that no device could hold.
    """

    sizes: tuple[int, ...]
    steps: int = 6
    local: int = 0
    input: Input = Input.FRAME

    def __post_init__(self) -> None:
        object.__setattr__(self, "sizes", tuple(int(n) for n in self.sizes))
        if not 3 <= len(self.sizes) <= MAX_HIDDEN + 2:
            raise NetworkError(
                f"a network has 1 to {MAX_HIDDEN} hidden layers, written inputs-hidden-...-classes; "
                f"'{self}' has {max(len(self.sizes) - 2, 0)}"
            )
        for position, size in enumerate(self.sizes):
            if size < 1:
                raise NetworkError(f"layer {position} of {self} has {size} neurons; the least is 1")
        if self.classes < 2:
            raise NetworkError(f"{self} has {self.classes} class; the least is 2")
        if not 1 <= self.steps <= MAX_STEPS:
            raise NetworkError(f"T is {self.steps} time steps; it must be in 1..{MAX_STEPS}")
        if not 0 <= self.local <= len(self.hidden):
            raise NetworkError(
                f"local is {self.local} hidden layers with a local read-out; {self} has {len(self.hidden)}"
            )
        if self.local and self.classes > MAX_LOCAL_CLASSES:
            raise NetworkError(f"{self} has {self.classes} classes; local learning allows {MAX_LOCAL_CLASSES}")

    def __str__(self) -> str:
        return "-".join(map(str, self.sizes))

    @classmethod
    def parse(cls, text: str, steps: int = 6, local: int = 0, input: Input = Input.FRAME) -> "Network":
        """Network of a text like ``784-256-256-10``."""
        try:
            sizes = tuple(int(part) for part in text.split("-"))
        except ValueError:
            raise NetworkError(f"'{text}' is not a network; write it like 64-64-64-10") from None
        return cls(sizes, steps, local, input)

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
        return {Input.FRAME: self.steps, Input.SPIKES: HISTORY_STEPS, Input.GRADED: 1}[self.input]

    def check(self, limits: Limits) -> None:
        """Raise NetworkError, naming the limit, where a device with ``limits`` cannot hold the network."""
        words = sum(-(-n // limits.lanes) for n in self.hidden)
        layers = self._place(limits.lanes)
        needed = layers[-1].weight_base + layers[-1].rows * layers[-1].words
        for what, value, limit in (
            ("inputs", self.inputs, limits.inputs),
            ("classes", self.classes, limits.classes),
            ("time steps", self._steps_a_run, limits.steps),
            (f"words of {limits.lanes} hidden neurons", words, limits.words),
            (f"row-words of {limits.lanes} weights", needed, limits.rows),
        ):
            if value > limit:
                raise NetworkError(f"{self} needs {value} {what}; the device has {limit}")

    def layout(self, limits: Limits) -> tuple[Layer, ...]:
        """Place the network in a device; one Layer for each layer of weights, the read-out last.

        Raises NetworkError where it does not fit.
        """
        self.check(limits)
        return self._place(limits.lanes)

    def limits(self, lanes: int, weight_bits: int = WEIGHT.width) -> Limits:
        """Smallest usual device with ``lanes`` lanes that holds the network, sizes rounded up so that builds recur."""
        layers = self._place(lanes)
        rows = layers[-1].weight_base + layers[-1].rows * layers[-1].words
        return Limits(
            lanes=lanes,
            rows=-(-rows // 1024) * 1024,
            inputs=min(MAX_INPUTS, max(256, 1 << self.inputs.bit_length())),
            words=max(8, 1 << (sum(layer.words for layer in layers[:-1]) - 1).bit_length()),
            classes=16 if self.classes <= 16 else 64,
            weight_bits=weight_bits,
        )

    def _place(self, lanes: int) -> tuple[Layer, ...]:
        layers: list[Layer] = []
        address = word = 0
        for rows, neurons in zip(self.sizes[:-1], self.sizes[1:], strict=True):
            words = -(-neurons // lanes)
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
