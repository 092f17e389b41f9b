"""The command to all lanes, and the pipeline stage at which each of its fields is used."""

from collections.abc import Iterable

from amaranth import Shape, signed
from amaranth.lib import data
from amaranth.lib import enum as hdl_enum

from opzo.hw.lanes.accumulator import SUM_SHIFT
from opzo.hw.timing import ACCUMULATED, ADD, CLEAR, HISTORY, PRODUCT, RESULT, ROW, UPDATE
from opzo.spec.formats import ACCUMULATOR, FEEDBACK_SHIFT_MAX, HISTORY_STEPS, MEMBRANE, SCALED_ERROR
from opzo.spec.limits import Limits
from opzo.spec.registers import LayerReg, Reg


class AfterWord(hdl_enum.Enum, shape=3):
    """What the neurons do with the accumulated sums of a word; set on the word's last command."""

    NONE = 0
    STORE = 1
    """Store the sums as the input currents of ``word`` (first layer)."""
    FIRE = 2
    """Advance the neurons of ``word`` by one time step, with the sums or the stored currents (``kept``)."""
    READOUT = 3
    """Leave the sums in the shift chain, for the error unit."""
    CREDIT = 4
    """Turn the sums into credits of ``word`` and ``step``."""
    SHARE = 5
    """Store the sums as the feedback sums of block word ``block_word`` and ``step``, whose neurons share them."""


SHIFT_CHAIN_FIELDS = ("load_row", "load_low", "load_high", "load_membrane", "store_row", "store_low", "store_high")
"""Commands of the memory port to the shift chain; at most one of them is set."""
GRADIENT_CHAIN_FIELDS = ("load_gradient_low", "load_gradient_high", "store_gradient_low", "store_gradient_high")
"""Further ones in a build with convolutions."""


def shift_chain_fields(limits: Limits) -> tuple[str, ...]:
    """Commands of the memory port to the shift chain of a device with ``limits``."""
    return (*SHIFT_CHAIN_FIELDS, *(GRADIENT_CHAIN_FIELDS if limits.gradients else ()))


def lane_command(limits: Limits) -> data.StructLayout:
    """Layout of a command to the lanes of a device with ``limits``: one row-word and what to do with it.

    Row-word

    - ``address``: row that is read, and written where ``update`` or ``store_row`` is set. Stages 0 and RESULT - 1.

    Operation, one bit each; PRODUCT where nothing else is said

    - ``integrate``: add row x ``operand`` to the sum.
    - ``feedback``: add factor x ``operand`` to the sum, where the factor is row >> ``feedback_shift``, saturated.
      UPDATE and PRODUCT.
    - ``zero_order``: with ``feedback``, use the sign of the neuron's noise as the factor instead. UPDATE.
    - ``local``: with ``feedback``, the row belongs to the local readout and not to the feedback matrix. ROW.
    - ``learn``: multiply the credit factor by ``operand``, for the row update. ROW, UPDATE and PRODUCT.
    - ``first``: the product starts a new sum.
    - ``update``: write the updated row. RESULT - 1 and RESULT.
    - ``draw``: advance the random generators by one draw. UPDATE.

    Operands

    - ``operand``: second factor of the product: input value, trace or scaled error. HISTORY.
    - ``history``: with ``learn``, bit k is set where the presynaptic neuron spiked in step k. HISTORY.
    - ``difference``: step of a feedback entry: difference of two readouts, or error of the local readout. HISTORY.
    - ``feedback_shift``: right shift of the row ahead of the multiplier; 0 except for ``feedback``. ROW.
    - ``decay_shift``: the row update subtracts row x 2**-``decay_shift``; 0 is no decay. UPDATE - 1.

    Neurons; ACCUMULATED where nothing else is said

    - ``after_word``: use of the sums, NONE except for the last command of a word.
    - ``sums``: ``after_word`` is not NONE.
    - ``kept``: with FIRE, take the stored input current in place of the sum.
    - ``noise``: with FIRE, add noise to the potential for the comparison with the threshold.
    - ``odd``: the step is the second one of an antithetic pair, whose noise has the opposite sign. UPDATE too.
    - ``fresh``: first step of a sample: potential and noise start at 0.
    - ``neuron``: with FIRE, content of register NEURON of the layer.
    - ``word``: word of the neurons. ROW - 1 too.
    - ``step``: time step of their spikes and credits. ROW - 1 too.
    - ``valid_lanes``: lanes that hold a neuron of the word, counted from lane 0. ROW - 1 too.

    Shift chain (`opzo.hw.lanes.lane_ports.ShiftChainSignature`), for the memory port

    - ``load_row``: the chain takes the sums: the row itself, where it was multiplied by SPIKE_INPUT. ACCUMULATED.
    - ``load_low``, ``load_high``: the chain takes the low or high half of the random states. UPDATE.
    - ``load_membrane``: the chain takes the potentials of ``word``, lane after lane in each group. ACCUMULATED.
    - ``store_row``: the row takes the chain. RESULT - 1.
    - ``store_low``, ``store_high``: the low or high half of the random states takes the chain. UPDATE.

    In a build with convolutions, also

    - ``pool``: the sums count quarters: FIRE, STORE and READOUT use sum >> 2. ACCUMULATED.
    - ``block_word``: word of the neurons by blocks. Sums of spikes and signs, shared feedback sums and credits are
      stored by it. ROW - 1 and ACCUMULATED.
    - ``begins_block``: with FIRE, the sums of spikes and signs of ``block_word`` start with this word. ACCUMULATED.
    - ``shared``: with ``feedback``, the layer is a convolution; with ``zero_order`` the factor is then 0. UPDATE.
    - ``block_shift``: log2 of the side of a block: a local readout's entry changes by (spikes x ``difference``) >>
      2 ``block_shift``, one of the feedback matrix by (signs x ``difference``) >> ``block_shift``. HISTORY + 1.
    - ``accumulate``: with ``learn``, the update goes to the gradients at ``gradient_address``. ADD and ACCUMULATED.
    - ``cell``: with ``accumulate``, the update counts as often as a cell has neurons. ADD.
    - ``quarter``: with ``learn`` and ``update``, a quarter of the update, rounded. ACCUMULATED.
    - ``apply``: the gradients at ``gradient_address`` are cleared, shifted, and change the row. CLEAR and PRODUCT.
    - ``gradient_address``: row-word of gradients. CLEAR and ADD.
    - ``load_gradient_low``, ``load_gradient_high``: the chain takes the low or high halves of gradients. UPDATE.
    - ``store_gradient_low``, ``store_gradient_high``: the halves take the chain. CLEAR.

    A device that only infers uses `integrate`, `first`, the operand and the fields of the neurons that are not for
    noise, credits or blocks, and reads rows and potentials through the chain; all else is 0.

    ``local`` without ``feedback`` reads a row of the local readout, for its sum (`opzo.hw.timing.local_stage`); HISTORY
    too.
    """
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
        "after_word": AfterWord,
        "sums": 1,
        "kept": 1,
        "operand": signed(SCALED_ERROR.width),
        "history": limits.steps,
        "difference": signed(MEMBRANE.width + 1),
        "feedback_shift": range(FEEDBACK_SHIFT_MAX + 1),
        "decay_shift": Reg.DECAY_SHIFT.bits,
        "noise": 1,
        "odd": 1,
        "fresh": 1,
        "neuron": LayerReg.NEURON.bits,
        "word": limits.word_bits,
        "step": range(HISTORY_STEPS),
        "valid_lanes": range(limits.lanes + 1),
        **dict.fromkeys(shift_chain_fields(limits), 1),
    }
    if limits.gradients:
        fields |= {
            **dict.fromkeys(("pool", "begins_block", "shared", "accumulate", "cell", "quarter", "apply"), 1),
            "block_word": limits.block_bits,
            "block_shift": LayerReg.BLOCK_SHIFT.bits,
            "gradient_address": range(max(limits.gradients, 2)),
        }
    return data.StructLayout(fields)


_LANE_FIELDS: dict[int, tuple[str, ...]] = {
    ROW - 1: ("valid_lanes",),
    ROW: ("learn", "local", "feedback_shift"),
    UPDATE: (
        *("learn", "zero_order", "feedback", "odd"),
        *("draw", "load_low", "load_high", "store_low", "store_high"),
    ),
    HISTORY: ("operand", "difference", "history"),
    PRODUCT: ("integrate", "feedback", "first", "learn"),
    ACCUMULATED: ("sums", "load_row"),
    RESULT: ("update",),
}
_CONVOLUTION_LANE_FIELDS: dict[int, tuple[str, ...]] = {
    UPDATE: ("shared", "load_gradient_low", "load_gradient_high"),
    HISTORY: ("local", "feedback"),
    HISTORY + 1: ("local", "block_shift"),
    PRODUCT: ("apply",),
    ACCUMULATED: ("accumulate", "quarter"),
}
_INFERENCE_LANE_FIELDS: dict[int, tuple[str, ...]] = {
    HISTORY: ("operand",),
    PRODUCT: ("integrate", "first"),
    ACCUMULATED: ("sums", "load_row"),
}
_WORD_FIELDS = ("after_word", "word", "step", "kept", "fresh", "neuron", "noise", "odd", "valid_lanes")
_CONVOLUTION_WORD_FIELDS = ("pool", "block_word", "begins_block")
_INFERENCE_WORD_FIELDS = ("after_word", "word", "kept", "fresh", "neuron", "valid_lanes")
SHARED = ("valid_lanes", "difference", "block_shift")
"""Fields whose registers all lanes of a group share. Each lane has a copy of the others: nets from one register to all
lanes of a group were the slowest of a chip."""


def lane_fields(limits: Limits) -> dict[int, tuple[str, ...]]:
    """Fields that a lane uses at each stage."""
    if not limits.learning:
        return _INFERENCE_LANE_FIELDS
    return _joined(_LANE_FIELDS, _CONVOLUTION_LANE_FIELDS if limits.gradients else {})


def word_fields(limits: Limits) -> tuple[str, ...]:
    """Fields that the neurons of a group use."""
    if not limits.learning:
        return (*_INFERENCE_WORD_FIELDS, *(("pool",) if limits.gradients else ()))
    return (*_WORD_FIELDS, *(_CONVOLUTION_WORD_FIELDS if limits.gradients else ()))


def _group_fields(limits: Limits) -> dict[int, tuple[str, ...]]:
    """Fields that row memory, gradients and neurons of a group use at each stage."""
    if not limits.learning:
        return {0: ("address",), ACCUMULATED: ("sums", "load_membrane", *word_fields(limits))}
    fields = {
        0: ("address",),
        ROW - 1: ("block_word" if limits.gradients else "word", "step"),
        UPDATE - 1: ("decay_shift",),
        ACCUMULATED: ("sums", "load_membrane", *word_fields(limits)),
        RESULT - 1: ("address", "update", "store_row"),
    }
    gradients = {
        CLEAR: ("apply", "store_gradient_low", "store_gradient_high", "gradient_address"),
        ADD: ("accumulate", "cell", "gradient_address"),
    }
    return _joined(fields, gradients if limits.gradients else {})


def _joined(*tables: dict[int, tuple[str, ...]]) -> dict[int, tuple[str, ...]]:
    """Fields of all ``tables`` by stage, without repetitions."""
    stages = sorted({stage for table in tables for stage in table})
    return {stage: tuple(dict.fromkeys(name for table in tables for name in table.get(stage, ()))) for stage in stages}


def replicated_fields(limits: Limits, stage: int) -> tuple[str, ...]:
    """Fields of ``stage`` that each lane has a copy of; its group has them one stage earlier."""
    return tuple(name for name in lane_fields(limits).get(stage, ()) if name not in SHARED)


def group_fields(limits: Limits) -> dict[int, tuple[str, ...]]:
    """Fields that a group of lanes has registers for, by stage."""
    own = {stage: tuple(name for name in names if name in SHARED) for stage, names in lane_fields(limits).items()}
    early = {stage - 1: replicated_fields(limits, stage) for stage in lane_fields(limits)}
    return {stage: names for stage, names in _joined(own, early, _group_fields(limits)).items() if names}


SUM = data.StructLayout({"value": signed(ACCUMULATOR.width - SUM_SHIFT), "negative": 1})
"""Result of a lane at the end of a word: its sum, without the low SUM_SHIFT bits, and the sign of the noise, drawn with
the word's last command."""


def lane_stage(limits: Limits, stage: int) -> data.StructLayout:
    """Layout of the fields that a lane uses at ``stage``, a key of `lane_fields`."""
    return _part(limits, lane_fields(limits)[stage])


def group_stage(limits: Limits, stage: int) -> data.StructLayout:
    """Layout of the fields that a group of lanes has registers for at ``stage``, a key of `group_fields`."""
    return _part(limits, group_fields(limits)[stage])


def pipeline_stage(limits: Limits, stage: int) -> data.StructLayout:
    """Layout of the fields that are used at ``stage`` or later."""
    return _part(limits, {name for s, names in group_fields(limits).items() if s >= stage for name in names})


def word_command(limits: Limits) -> data.StructLayout:
    """Layout of a word's command to the neurons of a group: `word_fields`."""
    return _part(limits, word_fields(limits))


def _part(limits: Limits, names: Iterable[str]) -> data.StructLayout:
    """Layout of the fields ``names`` of a command, in the command's order."""
    wanted = set(names)
    return data.StructLayout({name: field.shape for name, field in lane_command(limits) if name in wanted})


def filter_command(limits: Limits) -> data.StructLayout:
    """Layout of a command to the credit filters: filter one credit of lane ``lane`` of each group.

    - ``valid``: there is a command.
    - ``readout``: ``word`` is a word of readout neurons, not of hidden ones.
    - ``lane``, ``word``, ``step``: place of the credit. The steps of a lane come in descending order.
    - ``first``: the first command of a lane, that of its last time step.
    - ``frame``: the presynaptic rows of the word are values of a frame, not spikes.

    In a build with convolutions ``word`` of hidden neurons is a block word, and there are also

    - ``shared``: the place holds a feedback sum that the neurons of a block share; the credit is made of it, with the
      code of (``lane``, ``code_word``, ``step``).
    - ``code_word``: word of the neurons.
    - ``valid_lanes``: lanes that hold a neuron of the word, counted from lane 0.
    - ``loss``: scaled loss of the step for the zero-order rule, else 0.
    - ``odd``: the step is the second one of an antithetic pair.
    """
    fields: dict[str, Shape | object] = {
        "valid": 1,
        "first": 1,
        "frame": 1,
        "readout": 1,
        "lane": range(limits.lanes_per_group),
        "word": max(limits.block_bits, limits.class_bits),
        "step": range(HISTORY_STEPS),
    }
    if limits.gradients:
        fields |= {
            "shared": 1,
            "code_word": limits.word_bits,
            "valid_lanes": range(limits.lanes + 1),
            "loss": signed(SCALED_ERROR.width),
            "odd": 1,
        }
    return data.StructLayout(fields)
