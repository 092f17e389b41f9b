"""Network description, and the check that it fits a device."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from opzo.spec.errors import NetworkError
from opzo.spec.formats import MAX_STEPS, WEIGHT
from opzo.spec.geometry import block_count
from opzo.spec.layers import (
    BLOCK_CHOICES,
    BLOCKS,
    Convolution,
    Dense,
    LayerShape,
    Map,
    Part,
    Pool,
    of_sizes,
    parse,
    shapes,
)
from opzo.spec.layout import (
    Layer,
    all_block_words,
    all_gradients,
    all_hidden_words,
    all_places,
    all_rows,
    largest_block,
)
from opzo.spec.limits import LANES, MAX_HIDDEN, MAX_INPUTS, MAX_ROWS, MAX_WORDS, USUAL_HIDDEN, Limits, choice, words_for
from opzo.spec.messages import shown
from opzo.spec.neurons import Leak, Reset, by_layer, in_words
from opzo.spec.rules import Input, Rule
from opzo.spec.values import whole_number

MAX_LOCAL_CLASSES = 32
"""Classes with local learning: two sums over so many never leave the accumulator."""
MAX_INTERMEDIATE_CLASSES = 21
"""Classes with intermediate global learning, where three sums are added."""
MAX_POSITION_WORDS = 2047
"""Words of a dense layer, or of a position of a convolution."""
USUAL_BLOCK = 2
"""Block of a convolution's feedback; exact where an average pool follows."""


@dataclass(frozen=True, init=False, repr=False)
class Network:
    """A spiking network. Raises NetworkError for one that does not fit any device.

    Parameters
    ----------
    sizes : str or sequence
        Inputs, layers and pools as text (``opzo.spec.layers``), ``"64-64-10"`` or ``"1x28x28-8c3-p2-16c3-p2-10"``; or
        the neurons of each layer, ``(64, 64, 10)``, with maps, convolutions and pools as objects. There are 1 to
        MAX_HIDDEN hidden layers; the last layer has one neuron a class.
    steps : int
        Time steps T a sample.
    local : int
        Hidden layers, from the first on, with a local readout (local learning).
    intermediate : int
        Intermediate global learning (paper, appendix C.1): hidden layer, counted from 1, whose local readout also
        teaches the layers before it, through feedback matrices of its own. 0: none. Only with convolutions.
    input : Input or str
        What samples consist of: ``frame``, ``spikes`` or ``graded``.
    block : int
        Height and width of the blocks of positions of a convolution that share feedback entries: 1, 2, 4, ... 32.
    leak, reset : Leak or str, Reset or str, or a sequence by hidden layer
        How the neurons leak (``1/2``, ``3/4``, ``7/8``, ``15/16`` or ``1``) and reset (``subtract`` or ``zero``). The
        network has tuples. Presynaptic traces leak by 1/2, an approximation where the neurons do not.
    """

    sizes: tuple[int | Map | Convolution | Pool, ...]
    steps: int
    local: int
    intermediate: int
    input: Input
    block: int
    leak: tuple[Leak, ...]
    reset: tuple[Reset, ...]

    def __init__(
        self,
        sizes: Sequence[Any] | NDArray[np.integer] | str,
        steps: int = 6,
        local: int = 0,
        input: Input | str = Input.FRAME,
        block: int = USUAL_BLOCK,
        leak: Leak | str | float | Sequence[Leak | str | float] = Leak.HALF,
        reset: Reset | str | Sequence[Reset | str] = Reset.SUBTRACT,
        intermediate: int = 0,
    ) -> None:
        inputs, parts = _parts(sizes)
        if parts and isinstance(parts[0], Dense):
            # A dense layer does not see how its inputs are arranged.
            inputs = Map(inputs.neurons)
        first = inputs.channels if inputs.positions == 1 and not _convolves(parts[:1]) else inputs
        written = (first, *(part.neurons if isinstance(part, Dense) else part for part in parts))
        fields = {
            **{"sizes": written, "steps": steps, "input": Input.parse(input)},
            **{"local": local, "intermediate": intermediate},
        }
        for name, value in fields.items():
            object.__setattr__(self, name, value)
        if not parts or not isinstance(parts[-1], Dense):
            raise NetworkError(f"'{self}' must end with a dense layer, one neuron a class")
        hidden = len(self.layers) - 1
        if not 1 <= hidden <= MAX_HIDDEN:
            raise NetworkError(
                f"a network has 1 to {MAX_HIDDEN} hidden layers, written inputs-hidden-...-classes; "
                f"'{self}' has {max(hidden, 0)}"
            )
        if self.classes < 2:
            raise NetworkError(f"{self} has {self.classes} class; the least is 2")
        object.__setattr__(self, "steps", whole_number("steps", steps, 1, MAX_STEPS, error=NetworkError))
        object.__setattr__(self, "local", whole_number("local", local, 0, MAX_HIDDEN, error=NetworkError))
        block = choice("block", block, BLOCKS, BLOCK_CHOICES)
        object.__setattr__(self, "block", block if _convolves(parts) else USUAL_BLOCK)
        if self.local > len(self.hidden):
            raise NetworkError(
                f"local is {self.local} hidden layers with a local readout; {self} has {len(self.hidden)}"
            )
        if self.local and self.classes > MAX_LOCAL_CLASSES:
            raise NetworkError(
                f"{self} has {self.classes} classes; local learning allows {MAX_LOCAL_CLASSES}: set local to 0 "
                "(--local 0)"
            )
        self._check_intermediate()
        object.__setattr__(self, "leak", by_layer(Leak, leak, len(self.hidden)))
        object.__setattr__(self, "reset", by_layer(Reset, reset, len(self.hidden)))

    def _check_intermediate(self) -> None:
        layer = whole_number("intermediate", self.intermediate, 0, MAX_HIDDEN, error=NetworkError)
        object.__setattr__(self, "intermediate", layer)
        if not layer:
            return
        if not self.convolutions:
            raise NetworkError(
                f"intermediate is {layer}; intermediate global learning needs convolutions, and {self} has none: "
                "set intermediate to 0 (--intermediate 0)"
            )
        if layer == 1 or layer > self.local:
            raise NetworkError(
                f"intermediate is {layer}; it must be a hidden layer with a local readout (local is {self.local}) and "
                "with a hidden layer before it; raise local (--local -1 is all), or name another layer (--intermediate)"
            )
        if self.classes > MAX_INTERMEDIATE_CLASSES:
            raise NetworkError(
                f"{self} has {self.classes} classes; intermediate global learning allows {MAX_INTERMEDIATE_CLASSES}: "
                "set intermediate to 0 (--intermediate 0)"
            )

    def __str__(self) -> str:
        return "-".join(map(str, self.sizes))

    def __repr__(self) -> str:
        local = f", local={self.local}" if self.local else ""
        local += f", intermediate={self.intermediate}" if self.intermediate else ""
        kind = f", input='{self.input.name.lower()}'" if self.input.events else ""
        block = f", block={self.block}" if self.block != USUAL_BLOCK else ""
        leak = f", leak='{in_words(self.leak)}'" if any(self.leak) else ""
        reset = f", reset='{in_words(self.reset)}'" if any(self.reset) else ""
        return f"Network('{self}', steps={self.steps}{local}{kind}{block}{leak}{reset})"

    @classmethod
    def parse(cls, text: str, steps: int = 6, local: int = 0, input: Input | str = Input.FRAME) -> Network:
        """Network from a text like ``784-256-256-10``."""
        return cls(text, steps, local, input)

    @cached_property
    def layers(self) -> tuple[LayerShape, ...]:
        """Layers of weights, the readout last."""
        return tuple(shapes(*of_sizes(self.sizes)))

    @property
    def input_map(self) -> Map | None:
        """How a convolution sees the inputs; None where the first layer is dense."""
        return self.layers[0].below if self.layers[0].kernel else None

    @property
    def convolutions(self) -> tuple[LayerShape, ...]:
        """Layers that are convolutions; they are the first hidden layers."""
        return tuple(layer for layer in self.layers if layer.kernel)

    @property
    def neurons(self) -> tuple[int, ...]:
        """Inputs, neurons of each hidden layer, classes."""
        return (self.layers[0].below.neurons, *(layer.map.neurons for layer in self.layers))

    @property
    def weight_shapes(self) -> tuple[tuple[int, int], ...]:
        """Shape of each matrix of weights: (n_in + 1, n_out), where a convolution has n_out channels."""
        return tuple((layer.rows, layer.map.channels) for layer in self.layers)

    @property
    def feedback_shapes(self) -> tuple[tuple[int, int], ...]:
        """Shape of each hidden layer's feedback matrices and local readout: (classes, n).

        A convolution has n = blocks x channels, block by block.
        """
        return tuple(
            (self.classes, layer.map.channels * (block_count(layer.map, self.block) if layer.kernel else 1))
            for layer in self.layers[:-1]
        )

    @property
    def intermediate_shapes(self) -> tuple[tuple[int, int], ...]:
        """Shape of the intermediate feedback matrix of each layer before ``intermediate``, as in `feedback_shapes`."""
        return self.feedback_shapes[: max(0, self.intermediate - 1)]

    def check_rule(self, rule: Rule) -> None:
        """Raise NetworkError where ``rule`` has no feedback matrices for the errors of the intermediate readout."""
        if self.intermediate and rule.learns_hidden and not rule.feedback:
            raise NetworkError(
                f"intermediate is {self.intermediate}; rule {rule.name.lower()} has no feedback matrices: "
                "set intermediate to 0 (--intermediate 0), or choose another rule"
            )

    @property
    def inputs(self) -> int:
        """Input addresses n_0."""
        return self.neurons[0]

    @property
    def hidden(self) -> tuple[int, ...]:
        """Neurons of each hidden layer."""
        return self.neurons[1:-1]

    @property
    def classes(self) -> int:
        """Classes C."""
        return self.neurons[-1]

    @property
    def run_steps(self) -> int:
        """Most time steps of a run."""
        return self.input.run_steps if self.input.events else self.steps

    def check(self, limits: Limits) -> None:
        """Raise NetworkError, which names the limit, if a device with ``limits`` is too small for the network."""
        layers = self._place(limits.lanes, learning=limits.learning)
        if self.convolutions and not limits.gradients:
            raise NetworkError(f"{self} has convolutions; the device was built without")
        for what, value, limit in (
            ("inputs", self.inputs, limits.inputs),
            ("hidden layers", len(self.hidden), limits.layers),
            ("inputs of a neuron", max(layer.rows for layer in layers) - 1, MAX_INPUTS),
            (
                f"words of {limits.lanes} neurons at a position",
                max(layer.words for layer in layers),
                MAX_POSITION_WORDS,
            ),
            ("classes", self.classes, limits.classes),
            ("time steps", self.run_steps, limits.steps),
            (f"words of {limits.lanes} hidden neurons", all_hidden_words(layers), limits.words),
            (f"words of {limits.lanes} neurons in the first layer", layers[0].all_words, limits.stored_currents),
            (f"row-words of {limits.lanes} weights", all_rows(layers), limits.rows),
            # Without convolution a device has no block words of their own, and without learning no blocks.
            *(
                (
                    (f"row-words of {limits.lanes} gradients", all_gradients(layers), limits.gradients),
                    (f"words of {limits.lanes} neurons of feedback blocks", all_block_words(layers), limits.blocks),
                    ("rows and columns of positions in a feedback block", largest_block(layers), limits.block),
                )
                if limits.gradients and limits.learning
                else ()
            ),
            *(
                (("positions or cells of hidden layers", all_places(layers), limits.stored_places),)
                if limits.gradients
                else ()
            ),
        ):
            if value > limit:
                hint = "; choose fewer steps" if what == "time steps" else ""
                raise NetworkError(f"{self} needs {value} {what}; the device has {limit}{hint}")

    def layout(self, limits: Limits) -> tuple[Layer, ...]:
        """Place the network in a device; one Layer for each layer of weights, the readout last.

        Raises NetworkError if it does not fit.
        """
        self.check(limits)
        return self._place(limits.lanes, learning=limits.learning)

    def limits(self, lanes: int, weight_bits: int = WEIGHT.width) -> Limits:
        """Smallest usual device with ``lanes`` lanes that holds the network, sizes rounded up so that builds recur.

        Raises NetworkError if no device holds it.
        """
        lanes = choice("lanes", lanes, LANES, "a power of two from 4 to 128")
        layers = self._place(lanes)
        limits = Limits(
            lanes=lanes,
            rows=min(MAX_ROWS, -(-all_rows(layers) // 1024) * 1024),
            inputs=min(MAX_INPUTS, max(256, 1 << self.inputs.bit_length())),
            words=_rounded_words(all_hidden_words(layers)),
            classes=16 if self.classes <= 16 else 64,
            weight_bits=weight_bits,
            layers=max(USUAL_HIDDEN, len(self.hidden)),
            gradients=min(MAX_ROWS, -(-all_gradients(layers) // 256) * 256),
            blocks=_rounded_words(all_block_words(layers)) if self.convolutions else 0,
            block=largest_block(layers),
        )
        self.check(limits)
        return limits

    def _place(self, lanes: int, *, learning: bool = True) -> tuple[Layer, ...]:
        placed: list[Layer] = []
        address = word = gradient = 0
        for index, shape in enumerate(self.layers):
            last = index == len(self.layers) - 1
            neurons = shape.map.channels
            words = words_for(neurons, lanes)
            layer = Layer(
                rows=shape.rows,
                neurons=neurons,
                words=words,
                tail=neurons - (words - 1) * lanes,
                weight_base=0,
                feedback_base=address,
                word_base=0 if last else word,
                shape=shape,
                local=index < self.local,
                intermediate=index + 1 < self.intermediate,
                cells=not last and self.layers[index + 1].pool,
                block=self.block if shape.kernel else 1,
                gradient_base=gradient if shape.kernel else 0,
                leak=Leak.HALF if last else self.leak[index],
                reset=Reset.SUBTRACT if last else self.reset[index],
            )
            feedback = 0 if last or not learning else self.classes * layer.block_words * len(layer.entry_sets)
            placed.append(replace(layer, weight_base=address + feedback))
            address += feedback + layer.rows * words
            word += layer.all_words
            gradient += layer.rows * words if layer.convolution and learning else 0
        return tuple(placed)


def _parts(given: Sequence[Any] | NDArray[np.integer] | str) -> tuple[Map, tuple[Part, ...]]:
    """Inputs, layers and pools, from a text or a sequence; NetworkError if they are not those of a network."""
    if isinstance(given, str):
        return parse(given)
    if isinstance(given, bytes | bytearray) or not isinstance(given, Sequence | np.ndarray):
        raise NetworkError(f"{shown(given)} is not a network; give its layers, like (64, 64, 10) or '64-64-10'")
    return of_sizes(list(np.atleast_1d(given)) if isinstance(given, np.ndarray) else given)


def _convolves(parts: Sequence[Part]) -> bool:
    """Whether there is a convolution among ``parts``."""
    return any(isinstance(part, Convolution) for part in parts)


def _rounded_words(words: int) -> int:
    """Words of a usual device that has at least ``words``."""
    return min(MAX_WORDS, max(8, 1 << (words - 1).bit_length()))
