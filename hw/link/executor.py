"""Signature between the command processor of the link and the units that execute commands."""

from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from opzo.hw.link.frame import SIZE_BITS
from opzo.hw.link.replies import STATUS_BITS

OPERAND_BYTES = 7
"""Longest fixed part of a payload (READ_MEMORY)."""


class ExecutorSignature(wiring.Signature):
    """One command, directions as the command processor sees them.

    With ``start`` the fixed part of the payload lies in the top bytes of ``operands``, unless the payload is ``short``
    of it; ``size`` bytes of ``payload`` remain. ``second`` tells which of the unit's two commands it is. All that is
    stable until the unit is no longer ``busy``, which it is from the cycle after ``start``; only then it takes payload.
    When the outcome is clear the unit says ``done`` once, with the ``status`` and the ``reply_size`` bytes of ``reply``
    that follow it.
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "start": Out(1),
                "second": Out(1),
                "short": Out(1),
                "operands": Out(8 * OPERAND_BYTES),
                "size": Out(SIZE_BITS),
                "payload": Out(stream.Signature(8)),
                "busy": In(1),
                "done": In(1),
                "status": In(STATUS_BITS),
                "reply_size": In(16),
                "reply": In(stream.Signature(8)),
            }
        )
