"""What the sequencer's parts say to each other: passes, and the items they consist of."""

from amaranth import Value, unsigned
from amaranth.hdl import ValueLike
from amaranth.lib import data
from amaranth.lib import enum as hdl_enum

from opzo.hw.lanes.lane_command import AfterWord
from opzo.hw.registers import LAYER
from opzo.spec.formats import HISTORY_STEPS
from opzo.spec.network import MAX_HIDDEN, Limits


class Kind(hdl_enum.Enum, shape=3):
    """Kind of a pass: one layer of weights, all its words, all rows that matter."""

    INPUT = 0
    """Integrate a frame once and keep the current, or the events of a step and fire."""
    FIRE = 1
    """Fire the first layer from the kept current."""
    SPIKES = 2
    """Integrate the spikes of the layer below; fire, or read out."""
    FEEDBACK = 3
    """The layer's local read-out, where it has one, and its feedback matrix: errors to credits."""
    LEARN_INPUT = 4
    LEARN_SPIKES = 5
    LOCAL = 6
    """The layer's local read-out: class by class, all words of each."""


def is_learn(kind: ValueLike) -> Value:
    """Whether ``kind`` is one of Learn, as a value of the gateware."""
    result: Value = (kind == Kind.LEARN_INPUT) | (kind == Kind.LEARN_SPIKES)
    return result


PASS = data.StructLayout(
    {
        "kind": Kind,
        "read_out": 1,
        "layer": range(MAX_HIDDEN + 1),
        "below": range(MAX_HIDDEN),
        "below_base": LAYER["word_base"].shape,
        "step": range(HISTORY_STEPS),
        "last": 1,
        "settings": LAYER,
    }
)
"""One pass; ``last`` of a sample.

``layer`` is the register slot, ``below`` the hidden layer that its rows come from, ``below_base`` that layer's first
word.
"""


def item_layout(limits: Limits) -> data.StructLayout:
    """One row of one word of a pass, before its row address is known.

    Of a FEEDBACK item ``local`` tells that the entry is one of the local read-out. Of a LOCAL item ``first`` and
    ``last`` are the first and last word of a class, ``first_word`` that the class is the first.
    """
    word = unsigned(max((limits.words - 1).bit_length(), (limits.classes - 1).bit_length(), 1))
    return data.StructLayout(
        {
            "valid": 1,
            "kind": Kind,
            "read_out": 1,
            "local": 1,
            "layer": range(MAX_HIDDEN + 1),
            "step": range(HISTORY_STEPS),
            "first": 1,
            "last": 1,
            "bias": 1,
            "last_word": 1,
            "first_word": 1,
            "base": range(max(limits.rows, 2)),
            "bias_row": 13,
            "index": 13,
            "word": word,
            "word_base": range(max(limits.words, 2)),
            "below_base": range(max(limits.words, 2)),
            "valid_lanes": range(limits.lanes + 1),
            "feedback_shift": 4,
        }
    )


def tag_layout(limits: Limits) -> data.StructLayout:
    """What travels beside a command, for the units that take the lanes' results."""
    word = item_layout(limits)["word"].shape
    return data.StructLayout(
        {
            "after_word": AfterWord,
            "layer": range(MAX_HIDDEN + 1),
            "step": range(HISTORY_STEPS),
            "word": word,
            "first_word": 1,
            "last_word": 1,
            "measure": 1,
            "feedback": 1,
            "local": 1,
            "first": 1,
            "last": 1,
        }
    )
