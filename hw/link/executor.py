"""Signature between the command processor of the link and the units that execute commands."""

from amaranth.hdl import Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from opzo.hw.link.frame import SIZE_BITS
from opzo.hw.link.replies import STATUS_BITS
from opzo.spec.commands import REQUESTS, Command

LONG_COMMANDS = (Command.CHECK_STORE, Command.RUN_STORED)
"""Commands whose executors take the fixed part from the payload, so that the operands of all others stay short."""
OPERAND_BYTES = max(payload.size for command, payload in REQUESTS.items() if command not in LONG_COMMANDS)
"""Longest fixed part of the payload of the other commands."""


def fields(operands: Value, command: Command) -> data.View:
    """Fields of the payload of ``command``, by name, in the operands of `ExecutorSignature`."""
    layout = data.StructLayout({field.name: field.bits for field in REQUESTS[command].fields})
    return data.View(layout, operands[len(operands) - layout.size :])


class ExecutorSignature(wiring.Signature):
    """One command, directions as the command processor sees them.

    ``operands`` has the fixed part of the payload in its top bytes (`fields`), unless the payload is ``short`` of it;
    that of LONG_COMMANDS is left in the payload.
    ``size`` bytes of ``payload`` remain. A unit executes two commands, and ``is_second`` selects the second.
    All these are stable from ``start`` until the unit is no longer ``busy``. A unit is busy from the cycle after
    ``start``, and takes payload only while it is. ``done`` is a strobe, with the ``status`` and the number of bytes of
    ``reply`` that follow it, ``reply_size``.
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "start": Out(1),
                "is_second": Out(1),
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
