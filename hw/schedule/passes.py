"""Passes of a run, the ops they consist of, and the tags that accompany the commands."""

from amaranth import Const, Value
from amaranth.hdl import ValueLike
from amaranth.lib import data
from amaranth.lib import enum as hdl_enum

from opzo.hw.error.ports import sources
from opzo.hw.lanes.lane_command import AfterWord
from opzo.hw.registers import LAYER, hidden_layers
from opzo.spec.formats import HISTORY_STEPS
from opzo.spec.limits import Limits


class Kind(hdl_enum.Enum, shape=3):
    """Kind of a pass, which works on all words of one layer and on the rows of the layer below that are active."""

    INPUT = 0
    """Integrate a frame once and store the current, or integrate the events of a step and fire."""
    FIRE = 1
    """Fire the first layer with the stored current."""
    SPIKES = 2
    """Integrate the spikes of the layer below; fire, or leave the sums as readouts."""
    FEEDBACK = 3
    """Turn errors into credits: through the local readout, if the layer has one, and through its feedback matrices."""
    LEARN_INPUT = 4
    """Update the weights of the first layer."""
    LEARN_SPIKES = 5
    """Update the weights of another layer."""
    LOCAL = 6
    """Sum up the local readout of the layer: class by class, all words of each."""
    APPLY = 7
    """Change the weights of a convolution by its gradients, and clear these."""


def is_learn(kind: ValueLike) -> Value:
    """Whether ``kind`` is a kind of Learn, as a value of the gateware."""
    result: Value = (kind == Kind.LEARN_INPUT) | (kind == Kind.LEARN_SPIKES)
    return result


def of_learning(limits: Limits, condition: Value) -> Value:
    """``condition``, which only holds in runs with learning; 0 in a device that only infers."""
    return condition if limits.learning else Const(0)


def pass_layout(limits: Limits) -> data.StructLayout:
    """One pass; ``last``: the last one of a run.

    ``layer`` is the layer of weights, ``limits.layers`` the readout, ``below`` the hidden layer below, whose spikes the
    rows are, ``below_base`` the first word of that layer. ``windows``: the rows of each word are those of the window of
    its position. ``intermediate``: the layer has an intermediate feedback matrix.
    """
    return data.StructLayout(
        {
            "kind": Kind,
            "readout": 1,
            "layer": range(limits.layers + 1),
            "below": hidden_layers(limits),
            "below_base": LAYER["word_base"].shape,
            "windows": 1,
            "intermediate": 1,
            "step": range(HISTORY_STEPS),
            "last": 1,
            "settings": LAYER,
        }
    )


def index_bits(limits: Limits) -> int:
    """Bits of an index in a list, and of a number of ops of a word."""
    return max(limits.row_bits, limits.neuron_bits + 1) if limits.gradients else limits.row_bits


def op_layout(limits: Limits) -> data.StructLayout:
    """One op: a row of a word of a pass, before its address is known.

    ``first`` and ``last`` op of a word, ``first_word`` and ``last_word`` of the pass; in FEEDBACK, ``local``: the entry
    is one of the local readout, ``source``: the readout whose error it carries. In LOCAL, ``first`` and ``last`` are
    the first and last word of a class, ``first_word`` and ``last_word`` the first and last class.

    In a device with convolutions also: ``windows`` and ``pool`` of the pass; ``shared``: its layer is a convolution;
    ``seek``: the first op of a part of the list; ``window_base``: what the row of the list is more than the row of the
    window; ``block_word`` of the word, ``begins_block``: its position is the first one of the block; ``gradient``:
    first gradient of the word, in APPLY the op's own.
    """
    convolution = {
        **dict.fromkeys(("windows", "seek", "pool", "shared", "begins_block"), 1),
        "window_base": limits.row_bits,
        "block_word": limits.block_bits,
        "block_shift": LAYER["block_shift"].shape,
        "gradient": range(max(limits.gradients, 2)),
    }
    return data.StructLayout(
        {
            "valid": 1,
            "kind": Kind,
            "readout": 1,
            "local": 1,
            "source": sources(limits),
            "layer": range(limits.layers + 1),
            "step": range(HISTORY_STEPS),
            "first": 1,
            "last": 1,
            "bias": 1,
            "last_word": 1,
            "first_word": 1,
            "base": range(max(limits.rows, 2)),
            "bias_row": limits.row_bits,
            "index": index_bits(limits),
            "word": max(limits.word_bits, limits.class_bits),
            "word_base": limits.word_bits,
            "below_base": limits.word_bits,
            "valid_lanes": range(limits.lanes + 1),
            **{name: LAYER[name].shape for name in ("feedback_shift", "neuron")},
            **(convolution if limits.gradients else {}),
        }
    )


def tag_layout(limits: Limits) -> data.StructLayout:
    """Tag that accompanies a command, for the units that take the results of the lanes."""
    word = op_layout(limits)["word"].shape
    return data.StructLayout(
        {
            "after_word": AfterWord,
            "layer": range(limits.layers + 1),
            "step": range(HISTORY_STEPS),
            "word": word,
            "first_word": 1,
            "last_word": 1,
            "measure": 1,
            "feedback": 1,
            "local": 1,
            "apply": 1,
            "first": 1,
            "last": 1,
        }
    )
