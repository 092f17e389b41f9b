"""Port of the memory behind the sample store."""

from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

WORD_BITS = 16
MOST_WORDS = 512
"""Most words of a command."""


def command_layout(address_bits: int) -> data.StructLayout:
    """Command: 16-bit ``address`` of the first word, number of ``words`` (1 to MOST_WORDS), ``write`` or read."""
    return data.StructLayout({"address": address_bits, "words": range(MOST_WORDS + 1), "write": 1})


class StoreMemorySignature(wiring.Signature):
    """Commands to a memory of 16-bit words, and their words; directions as its user sees them.

    Commands are executed in order: a read sees all writes before it. A command has one word or more and ends within the
    memory, and no command has no words. A command may be taken long before its words are moved.

    After a reset the content is undefined and commands are taken once the memory is ready.

    Parameters
    ----------
    address_bits : int
        The memory has 2 ** address_bits words.

    Members
    -------
    command : Out(stream)
        See `command_layout`.
    write : Out(stream)
        Words of write commands, in order, as many as the commands have; a word may be offered before its command.
    read : In(stream)
        Words of read commands, in order. A word waits until it is taken; none is lost.
    """

    def __init__(self, address_bits: int) -> None:
        self.address_bits = address_bits
        super().__init__(
            {
                "command": Out(stream.Signature(command_layout(address_bits))),
                "write": Out(stream.Signature(WORD_BITS)),
                "read": In(stream.Signature(WORD_BITS)),
            }
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, StoreMemorySignature) and self.address_bits == other.address_bits
