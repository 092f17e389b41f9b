"""Pins of an SDRAM chip, and its commands."""

from enum import IntEnum

from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from opzo.hw.store.sdram.parts import BANK_BITS, SdramPart

ALL_BANKS = 1 << 10
"""Address of PRECHARGE that closes the rows of all banks."""
SINGLE_WRITES = 1 << 9
"""Bit of the mode register; bursts of reads have one word, too, if the lowest four bits are 0."""
CAS_LATENCY_PLACE = 4
"""Place of the CAS latency in the mode register."""


class SdramCommand(IntEnum):
    """Levels of ``ras_n``, ``cas_n`` and ``we_n``, from the highest bit, while ``cs_n`` is low."""

    LOAD_MODE = 0b000
    REFRESH = 0b001
    PRECHARGE = 0b010
    ACTIVE = 0b011
    WRITE = 0b100
    READ = 0b101
    NOP = 0b111


def address_pins(part: SdramPart) -> int:
    """Number of address pins of ``part``."""
    return max(part.row_bits, ALL_BANKS.bit_length())


class SdramPinsSignature(wiring.Signature):
    """Pins of an SDRAM chip but its clock, which the top of a board makes with a phase of its own.

    Active-low pins end in ``_n``. ``dq_oe`` is high while the controller drives ``dq_o`` onto the data bus.
    """

    def __init__(self, part: SdramPart) -> None:
        super().__init__(
            {
                "cke": Out(1),
                "cs_n": Out(1),
                "ras_n": Out(1),
                "cas_n": Out(1),
                "we_n": Out(1),
                "ba": Out(BANK_BITS),
                "a": Out(address_pins(part)),
                "dqm": Out(part.data_bits // 8),
                "dq_i": In(part.data_bits),
                "dq_o": Out(part.data_bits),
                "dq_oe": Out(1),
            }
        )
