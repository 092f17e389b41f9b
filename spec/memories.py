"""Memories of a device that the host can reach."""

from enum import IntEnum


class Space(IntEnum):
    """Memories; one row is one u16 for each lane."""

    WEIGHTS = 0
    """Weights and feedback entries, two's complement, in units of WEIGHT whatever the memory's width; row = row-word.
    Read and write; a 12-bit memory keeps bits 2 to 13."""
    LFSR = 1
    """Row 0: low halves of the lanes' LFSR states, row 1: high halves. Read and write."""
    MEMBRANE = 2
    """Row 2 w: low 16 bits of the potentials of word w after the last step, row 2 w + 1: high 4 bits, sign-extended.
    Read only."""
    HISTORY = 3
    """Row w: of the neurons of word w, in the low byte the spike history (bit t = spike in step t of the last run), in
    the high byte the presynaptic trace before that run. Read only."""
    INPUT_HISTORY = 4
    """Row r: the same of inputs r x lanes and following; GRADED: value in the place of the history. Read only."""
