"""What the sequencer tells all lanes in one cycle."""

from collections.abc import Iterable

from amaranth import Shape, signed, unsigned
from amaranth.lib import data
from amaranth.lib import enum as hdl_enum

from opzo.hw.lanes.accumulator import SUM_SHIFT
from opzo.hw.lanes.update import CREDIT_DELAY, ENTRY_DELAY
from opzo.spec.formats import ACCUMULATOR, HISTORY_STEPS, MEMBRANE, SCALED_ERROR
from opzo.spec.network import Limits


class Post(hdl_enum.Enum, shape=3):
    """What becomes of the accumulated sums of a word; set on its last command."""

    NONE = 0
    STORE = 1
    """Keep the input current of ``word`` (first layer)."""
    FIRE = 2
    """Fire ``word`` with it, or with the kept current (``kept``)."""
    READ_OUT = 3
    """Leave it in the chain."""
    CREDIT = 4
    """Make a credit of it."""


CHAIN_FIELDS = ("load_row", "load_low", "load_high", "load_membrane", "store_row", "store_low", "store_high")
"""What a command of the memory port does with the chain, the shift register through which sums, rows and random states
leave the lanes: it takes the sum of a row-word, which is the row itself if that was multiplied with SPIKE_INPUT, a half
of the LFSRs, the potentials of ``word``; or it becomes a row-word or such a half. One of them at a time."""


def lane_command(limits: Limits) -> data.StructLayout:
    """Layout of a command to lanes of a device with ``limits``. ``sums``: ``post`` is not NONE."""
    fields: dict[str, Shape | object] = {
        "address": range(max(limits.rows, 2)),
        "integrate": 1,
        "feedback": 1,
        "zero_order": 1,
        "local": 1,
        "learn": 1,
        "first": 1,
        "update": 1,
        "draw": 1,
        "post": Post,
        "sums": 1,
        "kept": 1,
        "operand": signed(SCALED_ERROR.width),
        "history": limits.steps,
        "difference": signed(MEMBRANE.width + 1),
        "feedback_shift": 4,
        "decay_shift": 4,
        "noise": 1,
        "odd": 1,
        "fresh": 1,
        "word": range(max(limits.words, 2)),
        "step": range(HISTORY_STEPS),
        "valid_lanes": range(limits.lanes + 1),
        **dict.fromkeys(CHAIN_FIELDS, 1),
    }
    return data.StructLayout(fields)


STAGES = 12
"""Cycles a command travels: at stage 0 it arrives, at ROW the row word is there, at PRODUCT the product, at ACCUMULATED
the sums, at RESULT the new row."""
ROW, PRODUCT, ACCUMULATED, RESULT = 4, 8, 9, 11
UPDATE = PRODUCT - CREDIT_DELAY
"""Stage at which the row update begins and its random bits are drawn."""
HISTORY = UPDATE + ENTRY_DELAY
"""Stage at which a history selects credits."""
LANE_FIELDS: dict[int, tuple[str, ...]] = {
    ROW - 1: ("valid_lanes",),
    ROW: ("learn", "local", "feedback_shift"),
    UPDATE: (
        *("learn", "zero_order", "feedback", "odd"),
        *("draw", "load_low", "load_high", "store_low", "store_high"),
    ),
    UPDATE + ENTRY_DELAY: ("operand", "difference", "history"),
    PRODUCT: ("integrate", "feedback", "first", "learn"),
    ACCUMULATED: ("sums", "load_row"),
    RESULT: ("update",),
}
"""What a lane looks at in each stage."""
POST_FIELDS = ("word", "step", "kept", "fresh", "noise", "odd", "valid_lanes")
"""What the neurons of a group look at beside ``post``."""
GROUP_FIELDS: dict[int, tuple[str, ...]] = {
    0: ("address",),
    ROW - 1: ("word", "step"),
    UPDATE - 1: ("decay_shift",),
    ACCUMULATED: ("post", "sums", "load_membrane", *POST_FIELDS),
    RESULT - 1: ("address", "update", "store_row"),
}
"""What row memory and neurons of a group look at."""
SHARED = ("valid_lanes", "difference")
"""What the lanes of a group look at in the same registers. Of the rest each lane has its own: nets to all lanes of a
group were the slowest of a chip."""


def own_fields(stage: int) -> tuple[str, ...]:
    """Fields that each lane has of its own in ``stage``; its group has them one stage earlier."""
    return tuple(name for name in LANE_FIELDS.get(stage, ()) if name not in SHARED)


FIELDS = {
    stage: names
    for stage in range(STAGES)
    if (
        names := tuple(
            dict.fromkeys(
                [
                    *(name for name in LANE_FIELDS.get(stage, ()) if name not in own_fields(stage)),
                    *own_fields(stage + 1),
                    *GROUP_FIELDS.get(stage, ()),
                ]
            )
        )
    )
}
"""What a group of lanes registers for each stage."""
SUM = data.StructLayout({"value": signed(ACCUMULATOR.width - SUM_SHIFT), "negative": 1})
"""What a lane hands on at the end of a word: sum, and the sign drawn with its last command."""


def local_stage(limits: Limits) -> int:
    """Stage at which `Lanes.local_sum` is there: gated beside the multiplier, then one level of adders a doubling."""
    return ROW + 1 + (limits.lanes - 1).bit_length()


def lane_stage(limits: Limits, stage: int) -> data.StructLayout:
    """Layout of what a lane looks at in ``stage``, a key of LANE_FIELDS."""
    return _part(limits, LANE_FIELDS[stage])


def group_stage(limits: Limits, stage: int) -> data.StructLayout:
    """Layout of what a group of lanes looks at in ``stage``, a key of FIELDS."""
    return _part(limits, FIELDS[stage])


def pipeline_stage(limits: Limits, stage: int) -> data.StructLayout:
    """Layout of what is left of a command in ``stage``: all that is looked at then or later."""
    return _part(limits, {name for s, names in FIELDS.items() if s >= stage for name in names})


def _part(limits: Limits, names: Iterable[str]) -> data.StructLayout:
    command = lane_command(limits)
    wanted = set(names)
    return data.StructLayout({name: field.shape for name, field in command if name in wanted})


def post_layout(limits: Limits) -> data.StructLayout:
    """Layout of what becomes of a word: ``kind`` is its ``post``."""
    fields = dict(_part(limits, POST_FIELDS))
    return data.StructLayout({"kind": Post, **{name: field.shape for name, field in fields.items()}})


def filter_command(limits: Limits) -> data.StructLayout:
    """Layout of a command to the credit filters, for lane ``lane`` of each group.

    ``read_out`` reads the credits of read-out word ``word``, else those of hidden word ``word``; ``first`` goes with
    the last time step. ``frame``: the word's presynaptic rows are those of a frame.
    """
    return data.StructLayout(
        {
            "valid": 1,
            "first": 1,
            "frame": 1,
            "read_out": 1,
            "lane": range(limits.lanes_per_group),
            "word": unsigned(max((limits.words - 1).bit_length(), (limits.classes - 1).bit_length(), 1)),
            "step": range(HISTORY_STEPS),
        }
    )
