"""Memories of a device that the host can reach: which there are, their rows, and what an entry holds.

A row has one entry of ENTRY_BITS for each lane. Both sides of the link, the tests and the documentation use this table.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import Self

from opzo.spec.limits import Limits

ENTRY_BITS = 16
"""Bits of an entry as it travels."""
ENTRY_BYTES = ENTRY_BITS // 8


@dataclass(frozen=True)
class Memory:
    """One memory.

    Attributes
    ----------
    rows : function of Limits
        Number of rows.
    size : str
        The same in words, with the names of the fields of Identity.
    entry : str
        What an entry holds.
    writable : bool
        Whether WRITE_MEMORY may write it; it can always be read.
    cleared : bool
        Whether writing register HIDDEN_LAYERS sets it to 0.
    infers : bool
        Whether a device that only infers has it, to be read.
    """

    rows: Callable[[Limits], int]
    size: str
    entry: str
    writable: bool = False
    cleared: bool = False
    infers: bool = False

    @property
    def access(self) -> str:
        """Access in words."""
        return ("read, write" if self.writable else "read only") + (", cleared by HIDDEN_LAYERS" * self.cleared)


class Space(IntEnum):
    """Memories, by the number that READ_MEMORY and WRITE_MEMORY use."""

    _value_: int
    memory: Memory

    WEIGHTS = (
        0,
        Memory(
            lambda limits: limits.rows,
            "rows",
            "Row-word of weights or feedback entries, two's complement: 12 fraction bits in weights and local "
            "readouts, 1 in feedback matrices. A 12-bit memory keeps bits 2 to 13 and reads bits 0 and 1 as 0.",
            writable=True,
            infers=True,
        ),
    )
    LFSR = (
        1,
        Memory(
            lambda limits: 2,
            "2",
            "Row 0: low halves of the LFSR states of the lanes. Row 1: high halves.",
            writable=True,
        ),
    )
    MEMBRANE = (
        2,
        Memory(
            lambda limits: 2 * limits.words,
            "2 x words",
            "Membrane potentials of word w after the last time step. Row 2 w: low 16 bits. Row 2 w + 1: high 4 bits, "
            "sign-extended.",
            infers=True,
        ),
    )
    HISTORY = (
        3,
        Memory(
            lambda limits: limits.words,
            "words",
            "Row w: the neurons of word w. Low byte: spike history, bit t = spike in time step t of the last run. "
            "High byte: presynaptic trace before that run, 7 fraction bits.",
            cleared=True,
        ),
    )
    INPUT_HISTORY = (
        4,
        Memory(
            lambda limits: limits.input_words,
            "inputs / lanes, rounded up",
            "Row r: the same of inputs r x lanes to r x lanes + lanes - 1. Where register INPUT is GRADED, the low "
            "byte is the value of the input's event in the last run.",
            cleared=True,
        ),
    )

    GRADIENTS = (
        5,
        Memory(
            lambda limits: 2 * limits.gradients,
            "2 x gradients",
            "Gradient accumulators of convolutions, row-word g. Row 2 g: low 16 bits. Row 2 g + 1: high 16 bits.",
            writable=True,
        ),
    )

    def __new__(cls, value: int, *columns: Memory) -> Self:
        """Space with its memory; calls with the value alone find a space."""
        space = int.__new__(cls, value)
        space._value_, (space.memory,) = value, columns
        return space

    @property
    def writable(self) -> bool:
        """Whether WRITE_MEMORY may write it."""
        return self.memory.writable

    def writable_in(self, limits: Limits) -> bool:
        """Whether WRITE_MEMORY may write it in a device with ``limits``."""
        return self.writable and limits.learning

    @property
    def cleared(self) -> bool:
        """Whether writing register HIDDEN_LAYERS sets it to 0."""
        return self.memory.cleared

    def rows(self, limits: Limits) -> int:
        """Rows in a device with ``limits``; 0 of a memory that it lacks."""
        return self.memory.rows(limits) if limits.learning or self.memory.infers else 0


def rows_of(space: int, limits: Limits) -> int:
    """Rows of the memory with a number; 0 where there is none."""
    return Space(space).rows(limits) if space in tuple(Space) else 0
