"""Kinds of layers: how a network is written, and the maps that its layers have.

A network is written ``1x28x28-8c3-p2-16c3-p2-10``: the inputs (``784``, or channels x height x width), then its parts:

=========  =============================================================================================================
``128``    dense layer of 128 neurons
``8c3``    convolution to 8 channels with a kernel of 3 x 3, stride 1, padded with 0 to keep height and width
``p2``     average pool of 2 x 2 of the convolution before it; it has no weights and no neurons
=========  =============================================================================================================

The last part is dense: the readout, one neuron a class.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

from opzo.spec.errors import NetworkError
from opzo.spec.messages import shown
from opzo.spec.values import whole_number

MAX_NEURONS = 1 << 20
"""Neurons of one layer, far beyond any device."""
MAX_SIDE = 128
"""Height and width of a map."""
MAX_CHANNELS = 1024
"""Channels of a map."""
KERNELS = (1, 3, 5)
POOL = 2
"""Height and width of the cell of an average pool."""
BLOCKS = (1, 2, 4, 8, 16, 32)
"""Height and width of a block of positions that share the entries of a feedback matrix."""
BLOCK_CHOICES = f"{', '.join(map(str, BLOCKS[:-1]))} or {BLOCKS[-1]}"


@dataclass(frozen=True)
class Map:
    """Neurons, or inputs, arranged as ``height`` x ``width`` positions with ``channels`` each.

    A layer of n neurons without an arrangement is a map of one position with n channels.
    """

    channels: int
    height: int = 1
    width: int = 1

    def __post_init__(self) -> None:
        channels = MAX_CHANNELS if self.positions > 1 else MAX_NEURONS
        for name, top in (("channels", channels), ("height", MAX_SIDE), ("width", MAX_SIDE)):
            whole_number(f"{name} of a map", getattr(self, name), 1, top, error=NetworkError)

    def __str__(self) -> str:
        if self.positions == 1:
            return str(self.channels)
        return f"{self.channels}x{self.height}x{self.width}"

    @property
    def positions(self) -> int:
        """Number of positions."""
        return self.height * self.width

    @property
    def neurons(self) -> int:
        """Number of neurons."""
        return self.positions * self.channels

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height, width: the order in which images are written."""
        return self.channels, self.height, self.width

    def pooled(self) -> "Map":
        """Map after an average pool; NetworkError where height or width is odd."""
        for name, side in (("height", self.height), ("width", self.width)):
            if side % POOL:
                raise NetworkError(f"p{POOL} needs an even {name}; the map {self} has {side}")
        return Map(self.channels, self.height // POOL, self.width // POOL)


@dataclass(frozen=True)
class Dense:
    """Part ``128``: every neuron sees the whole map below."""

    neurons: int

    def __post_init__(self) -> None:
        whole_number("neurons of a dense layer", self.neurons, 1, MAX_NEURONS, error=NetworkError)

    def __str__(self) -> str:
        return str(self.neurons)

    def above(self, below: Map) -> Map:
        """Its map."""
        return Map(self.neurons)


@dataclass(frozen=True)
class Convolution:
    """Part ``8c3``: ``channels`` neurons at each position see the ``kernel`` x ``kernel`` positions around it."""

    channels: int
    kernel: int

    def __post_init__(self) -> None:
        whole_number("channels of a convolution", self.channels, 1, MAX_CHANNELS, error=NetworkError)
        if self.kernel not in KERNELS:
            raise NetworkError(f"the kernel of '{self}' must be 1, 3 or 5, not {self.kernel}")

    def __str__(self) -> str:
        return f"{self.channels}c{self.kernel}"

    def above(self, below: Map) -> Map:
        """Its map."""
        return Map(self.channels, below.height, below.width)


@dataclass(frozen=True)
class Pool:
    """Part ``p2``: the average of 2 x 2 positions, of each channel."""

    size: int = POOL

    def __post_init__(self) -> None:
        if self.size != POOL:
            raise NetworkError(f"an average pool is 2 x 2, written p{POOL}, not p{self.size}")

    def __str__(self) -> str:
        return f"p{self.size}"


Part = Dense | Convolution | Pool
"""What a network is written with, after its inputs."""


KINDS: tuple[tuple[str, Callable[..., Part]], ...] = (
    ("([0-9]+)", Dense),
    ("([0-9]+)c([0-9]+)", Convolution),
    ("p([0-9]+)", Pool),
)
"""Pattern of a part's text, and its class, which takes the numbers in it."""
_DIGITS = 9
"""Digits of a number in a network's text."""


@dataclass(frozen=True)
class LayerShape:
    """One layer of weights: what it sees, and its own neurons.

    Attributes
    ----------
    below : Map
        Presynaptic neurons, before the pool.
    map : Map
        Its neurons.
    kernel : int
        Height and width of the window of a convolution; 0 for a dense layer, whose window is the whole map below.
    pool : bool
        Whether an average pool lies between ``below`` and the layer.
    """

    below: Map
    map: Map
    kernel: int = 0
    pool: bool = False

    @property
    def seen(self) -> Map:
        """Map that the window moves over: ``below``, after the pool."""
        return self.below.pooled() if self.pool else self.below

    @property
    def window(self) -> tuple[int, int]:
        """Height and width of the window."""
        return (self.kernel, self.kernel) if self.kernel else (self.seen.height, self.seen.width)

    @property
    def fan_in(self) -> int:
        """Weights of a neuron, without the bias."""
        return prod(self.window) * self.seen.channels

    @property
    def rows(self) -> int:
        """Rows of the weight matrix: ``fan_in`` and the bias."""
        return self.fan_in + 1


def parse(text: str) -> tuple[Map, tuple[Part, ...]]:
    """Inputs and parts of a network's text; NetworkError names the part that is wrong."""
    first, *others = text.strip().split("-")
    numbers = first.split("x")
    if not others or len(numbers) not in (1, 3) or not all(_is_number(number) for number in numbers):
        raise _not_a_network(text)
    parts: list[Part] = []
    for other in others:
        for pattern, make in KINDS:
            if found := re.fullmatch(pattern, other):
                if not all(_is_number(number) for number in found.groups()):
                    raise _not_a_network(text)
                parts.append(make(*map(int, found.groups())))
                break
        else:
            raise _not_a_network(text)
    return _inputs(*map(int, numbers)), tuple(parts)


def of_sizes(sizes: Sequence[Any]) -> tuple[Map, tuple[Part, ...]]:
    """The same for numbers (a dense network) or a mixture of maps, parts and numbers."""
    inputs: Map | None = None
    parts: list[Part] = []
    for layer, size in enumerate(sizes):
        if isinstance(size, Map) and layer == 0:
            inputs = size
        elif isinstance(size, Dense | Convolution | Pool) and layer:
            parts.append(size)
        else:
            neurons = whole_number(f"neurons of layer {layer}", size, 1, MAX_NEURONS, error=NetworkError)
            if layer:
                parts.append(Dense(neurons))
            else:
                inputs = Map(neurons)
    if inputs is None:
        raise NetworkError(f"{shown(sizes)} is not a network; give its layers, like (64, 64, 10)")
    return inputs, tuple(parts)


def shapes(inputs: Map, parts: Iterable[Part]) -> Iterator[LayerShape]:
    """Layers of weights, the first to the last; NetworkError where a part does not fit what is below it."""
    below, pool = inputs, False
    after_convolution = False
    for part in parts:
        if isinstance(part, Pool):
            if pool or not after_convolution:
                raise NetworkError(f"'{part}' must follow a convolution")
            below.pooled()
            pool = True
            continue
        seen = below.pooled() if pool else below
        if isinstance(part, Convolution) and seen.positions == 1 and not after_convolution:
            raise NetworkError(
                f"the convolution '{part}' needs a map below it, not {seen} neurons without height and width; inputs "
                "with both are written like 1x28x28"
            )
        above = part.above(seen)
        kernel = part.kernel if isinstance(part, Convolution) else 0
        yield LayerShape(below, above, kernel, pool)
        below, pool, after_convolution = above, False, bool(kernel)
    if pool:
        raise NetworkError(f"the network ends with 'p{POOL}'; its last part must be dense, one neuron a class")


def _inputs(*numbers: int) -> Map:
    if len(numbers) == 3:
        return Map(*numbers)
    return Map(whole_number("neurons of layer 0", numbers[0], 1, MAX_NEURONS, error=NetworkError))


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= _DIGITS


def _not_a_network(text: str) -> NetworkError:
    meant = re.sub(r"\s*[\s,;x*/_-]\s*", "-", text.strip().lower())
    hint = f" (did you mean {shown(meant)}?)" if re.fullmatch("[0-9]+(-[0-9]+)+", meant) else ""
    return NetworkError(
        f"{shown(text)} is not a network{hint}; write it like 64-64-64-10 or, with convolutions, "
        "1x28x28-8c3-p2-16c3-p2-10"
    )
