"""Where the layers of a network lie in the memories of a device."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from opzo.spec.geometry import CELL, block_count
from opzo.spec.layers import LayerShape
from opzo.spec.neurons import Leak, Reset


class EntrySet(Enum):
    """Set of entries, C for each neuron of a feedback block, in the order of the memory; the value is its name."""

    LOCAL = "local readout"
    FEEDBACK = "feedback matrix"
    INTERMEDIATE = "intermediate feedback matrix"


@dataclass(frozen=True)
class Layer:
    """One layer of weights: where it lies, and the shape of its postsynaptic words.

    Neuron c of position p belongs to lane ``c mod P`` of word ``p * words + c div P`` of the layer; a dense layer has
    one position. Row ``i`` of word ``w`` is row-word ``weight_base + w * rows + i``, the same for all positions; the
    bias is the last row. Entry ``k`` of the feedback matrix for word ``w`` of block ``q`` is row-word
    ``feedback_base + (q * words + w) * classes + k``; a dense layer is one block. Where there are several
    ``entry_sets``, each w has ``len(entry_sets) * classes`` row-words, one set after the other.
    ``word_base`` is the layer's first word in the memories of the neurons (membrane, surrogate, credit).
    A convolution has gradient accumulators, laid out as the weights, from ``gradient_base`` on.

    Attributes
    ----------
    rows : int
        Rows of weights, the bias included.
    neurons : int
        Neurons of a position: the channels of a convolution, all neurons of a dense layer.
    words : int
        Words of a position.
    tail : int
        Lanes in use in the last word of a position.
    shape : LayerShape
        What the layer sees, and its map.
    local : bool
        Whether it has a local readout.
    intermediate : bool
        Whether it has a second feedback matrix, for the errors of the intermediate readout (`Network.intermediate`).
    cells : bool
        Whether an average pool follows, so that positions are numbered cell by cell (`opzo.spec.geometry`).
    block : int
        Height and width of the blocks that share feedback entries.
    leak, reset : Leak, Reset
        Of the neurons; they mean nothing for the readout.
    """

    rows: int
    neurons: int
    words: int
    tail: int
    weight_base: int
    feedback_base: int
    word_base: int
    shape: LayerShape
    local: bool = False
    intermediate: bool = False
    cells: bool = False
    block: int = 1
    gradient_base: int = 0
    leak: Leak = Leak.HALF
    reset: Reset = Reset.SUBTRACT

    @property
    def convolution(self) -> bool:
        """Whether positions share weights, so that gradients are summed before they change a weight."""
        return self.shape.kernel > 0

    @property
    def entry_sets(self) -> tuple[EntrySet, ...]:
        """Sets of a hidden layer, in the order of the memory."""
        has = {EntrySet.LOCAL: self.local, EntrySet.FEEDBACK: True, EntrySet.INTERMEDIATE: self.intermediate}
        return tuple(kind for kind in EntrySet if has[kind])

    @property
    def positions(self) -> int:
        """Positions of the map."""
        return self.shape.map.positions

    @property
    def all_words(self) -> int:
        """Words of all positions."""
        return self.positions * self.words

    @property
    def places(self) -> int:
        """Positions of the map, or cells where a pool follows."""
        return self.positions // CELL if self.cells else self.positions

    @property
    def blocks(self) -> int:
        """Blocks that share feedback entries."""
        return block_count(self.shape.map, self.block)

    @property
    def block_words(self) -> int:
        """Words of all blocks."""
        return self.blocks * self.words


def all_hidden_words(layers: Sequence[Layer]) -> int:
    """Words of all hidden neurons."""
    return sum(layer.all_words for layer in layers[:-1])


def all_block_words(layers: Sequence[Layer]) -> int:
    """Words of the feedback blocks of all hidden layers."""
    return sum(layer.block_words for layer in layers[:-1])


def all_places(layers: Sequence[Layer]) -> int:
    """Places of all hidden layers."""
    return sum(layer.places for layer in layers[:-1])


def largest_block(layers: Sequence[Layer]) -> int:
    """Largest side of a feedback block."""
    return max(layer.block for layer in layers)


def all_rows(layers: Sequence[Layer]) -> int:
    """Row-words of weights and feedback entries."""
    return layers[-1].weight_base + layers[-1].rows * layers[-1].words


def all_gradients(layers: Sequence[Layer]) -> int:
    """Row-words of gradients."""
    return sum(layer.rows * layer.words for layer in layers if layer.convolution)
