"""Latencies and delays of the engine in clock cycles, each derived from the pipeline that causes it.

Units import their delays from here, so that a longer pipeline stage is one edit. What only the structure of a unit can
tell is checked with `require` when the unit is elaborated.
"""

from opzo.hw.lib import multiplier, row_memory
from opzo.spec.formats import HISTORY_STEPS
from opzo.spec.limits import Limits


def require(holds: bool, text: str) -> None:
    """Raise AssertionError with ``text`` if a relation between latencies does not hold."""
    if not holds:
        raise AssertionError(f"timing: {text}")


# Stages of a command in the lanes; stage 0 is the cycle in which the row memory gets the address.
ROW = row_memory.READ_LATENCY
"""Stage at which the row-word is ready."""
EXISTS_CYCLES = 2
"""From a lane knowing whether it holds a neuron of the word to the use in its credit selector: two registers."""
HISTORY = ROW + EXISTS_CYCLES
"""Stage at which a history selects credits; not earlier, because lanes without a neuron must select none."""
SELECT_CYCLES = 2
"""From a history to the sum of the credits that it selects: table outputs, then their sum."""
PRODUCT = HISTORY + SELECT_CYCLES
"""Stage of the product of row or credit factor, because the row update adds it to the selected credits."""
ACCUMULATED = PRODUCT + 1
"""Stage of the sum over the rows: one adder behind the product."""
ENTRY_DELAY = 1
"""From the row to the step of a feedback entry, in the row update: the decay is multiplied meanwhile."""
CREDIT_DELAY = 3
"""From the row to the credits and the product, in the row update: the decayed row waits for them."""
UPDATE_CYCLES = CREDIT_DELAY + 3
"""From the row to the new row, in the row update: sum of credits and product, exact row, rounded and saturated row."""
UPDATE = PRODUCT - CREDIT_DELAY
"""Stage at which the row update starts and its random bits are drawn, so that it meets the product."""
RESULT = UPDATE + UPDATE_CYCLES
"""Stage at which the new row is written."""
STAGES = RESULT + 1
"""Stages of a command in the lanes."""
GRADIENT_CYCLES = 2
"""From a change of gradients to what it finds: memory output, register."""
STEP_CYCLES = 3
"""From a gradient to the step of its weight: shifted by eights, by ones, rounded and saturated."""
ADD = ACCUMULATED - GRADIENT_CYCLES
"""Stage at which gradients are read to add an update, which is ready at stage ACCUMULATED."""
CLEAR = PRODUCT - STEP_CYCLES - GRADIENT_CYCLES
"""Stage at which gradients are read and cleared, or read and written by the host; their steps are ready at stage
PRODUCT."""
GRADIENT = CLEAR + GRADIENT_CYCLES
"""Stage of the gradients that were read at stage CLEAR."""
GRADIENT_SATURATED = ADD + GRADIENT_CYCLES + 2
"""Stage at which the lanes report that a gradient saturated: a register behind the accumulators, one behind the
groups."""
_OPERAND_CYCLES = 2
"""From the row to the operand of the multiplier: shifted row, then saturated factor."""
require(UPDATE > ROW, "the row update starts before its row is ready")
require(ROW + _OPERAND_CYCLES + multiplier.LATENCY == PRODUCT, "the product of a row is not at stage PRODUCT")
require(UPDATE + ENTRY_DELAY == HISTORY, "the step of a feedback entry does not come with the history")
require(CLEAR >= 0 and GRADIENT == UPDATE, "the gradients of the host do not meet the shift chain")


def local_stage(limits: Limits) -> int:
    """Stage of the sum of a local readout: a register in each lane, then an adder level per doubling of lanes.

    In a build with convolutions the row is multiplied by the spikes of a block.
    """
    return (PRODUCT if limits.gradients else ROW) + 1 + limits.lane_bits


# Neurons, lane after lane in each group.
FIRE_CYCLES = 2
"""From potential and current of a neuron to its spike: noisy potential, comparison."""
CREDIT_CYCLES = 3
"""From a feedback sum to the credit: two factors of the product, product."""
NEURON_CYCLES = 2 + FIRE_CYCLES + 1
"""From the sum of a word's last lane to the results of the word: state and current are read, fired, collected."""
require(1 + CREDIT_CYCLES == 2 + FIRE_CYCLES, "credits and spikes of a lane are not ready in the same stage")


def word_stage(limits: Limits) -> int:
    """Stage at which the results of a word leave the lanes: lane after lane, and a register behind the groups."""
    return ACCUMULATED + limits.lanes_per_group + NEURON_CYCLES + 1


# From the sequencer to the lanes.
ISSUE_CYCLES = 4
"""From an op to its command: lists are read, rows found, traces read, operand chosen."""
TO_STAGE_0 = 1
"""From the command to its stage 0: a register in each group."""
QUIET_CYCLES = ISSUE_CYCLES + STAGES
"""From an op until its row is written and it has left lanes and row memory."""


def credits_written(limits: Limits) -> int:
    """From the last op of a word until its credits are written: the neurons take the sums lane after lane."""
    return QUIET_CYCLES + limits.lanes_per_group + NEURON_CYCLES


# Tables of filtered credits: filled for the next word while rows of this one are updated.
TABLE_CYCLES = 8
"""In which the tables of a lane are filled: one cycle for each entry of a table."""
SHARED_CYCLES = 1 + CREDIT_CYCLES - 1
"""From a feedback sum to the credit, more than for a credit that is stored: sum with the loss, credit; the register of
the stored credit is one of them."""


def filter_cycles(limits: Limits) -> int:
    """From a command of the filler to the filtered credit: register of the group, credit memory, filter."""
    return 5 + (SHARED_CYCLES if limits.gradients else 0)


TABLE_DELAY = 2
"""From the last credit of a table to the announcement of its first entry."""
TABLE_WRITE = 1
"""From the announcement of an entry to its write: a register in each lane."""
TABLES_TAKEN = ISSUE_CYCLES + TO_STAGE_0 + HISTORY
"""From the first op of a word to its tables' use: its first history selects from them."""
WORD_READY = 1
"""From a filled word to the first op that may need it: a register."""
NEXT_FILL = 3
"""From the first op of a word to the first filter command of the next word: strobe, states WAIT and FILL."""
require(TABLE_CYCLES >= HISTORY_STEPS, "the credits of a lane take longer than its tables")


def filled_cycles(limits: Limits) -> int:
    """From the last filter command of a word until it counts as filled: the first op from then on takes the tables in
    the cycle after their last entry is written."""
    cycles = filter_cycles(limits) + TABLE_DELAY + TABLE_CYCLES + TABLE_WRITE - WORD_READY - TABLES_TAKEN
    require(2 <= cycles < TABLE_CYCLES, "the filler cannot count the cycles until a word is filled")
    require(
        # A table needs the credit of at least one step more than the last one of a lane.
        NEXT_FILL + 1 + filter_cycles(limits) + TABLE_DELAY + TABLE_WRITE > TABLES_TAKEN,
        "the tables of the next word are written before those of this word are in use",
    )
    return cycles


# Readouts: two at a time in the error unit, one of which comes in.
READOUT_RESTART = 4
"""From the announcement of room in the error unit to stage 0 of the next readout, without ISSUE_CYCLES: the flag falls,
the pass may start, it starts, and TO_STAGE_0."""

# Memory port.
PORT_STORE = STAGES + 1
"""From a command of the memory port until its row is written: the command's register, then the stages."""


def port_load(limits: Limits) -> int:
    """From a command of the memory port until the chain has its row: potentials enter it lane after lane."""
    return STAGES + 1 + limits.lanes_per_group


# Traces and registers.
TRACE_SETTLE = 2 + 1 + 3 + 2
"""From the last row that a walk over the traces asks for to the last row in a list: row read, operation, entry read,
changed and written, row appended and written."""
REGISTER_CYCLES = 3
"""From the address of a register to its content."""
