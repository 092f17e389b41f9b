"""Access of a bus to the registers: one at a time, whatever the bus."""

from amaranth.lib.wiring import In, Out, Signature

from opzo.spec.bus import ADDRESS_BITS

WORD_ADDRESS_BITS = ADDRESS_BITS - 2


class AccessSignature(Signature):
    """A read or write, directions as the bus sees them.

    ``valid``: the bus waits for the access, whose members are stable from then on. ``complete``: a write has all bytes
    of the word. ``done`` is a strobe, with ``r_data`` and whether it is an ``error``; in the next cycle ``valid`` is
    low.
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "valid": Out(1),
                "write": Out(1),
                "address": Out(WORD_ADDRESS_BITS),
                "w_data": Out(32),
                "complete": Out(1),
                "done": In(1),
                "r_data": In(32),
                "error": In(1),
            }
        )
