"""Signatures between the link and the core."""

from amaranth.lib import data, stream
from amaranth.lib.wiring import In, Out, Signature

MEMORY_COMMAND = data.StructLayout({"space": 3, "address": 20, "write": 1})
"""One row of a memory space; see opzo.spec.memories.Space."""
EVENT = data.StructLayout({"address": 12, "value": 8, "ends": 4})
"""One input event; where ``ends`` is not 0 no event, but the end of so many time steps."""
RUN = data.StructLayout({"train": 1, "outputs": 1, "fresh": 1, "decision": 1, "label": 6, "tag": 2})
"""End of the input of a run, with the flags of RUN; ``tag`` comes back with its result."""
RESULT = data.StructLayout({"data": 32, "first": 1, "last": 1, "tag": 2})
"""Prediction, loss, then with ``outputs`` the summed read-outs, sign-extended."""

REGISTER_CYCLES = 3
"""From the address of a register to its content."""


class CoreSignature(Signature):
    """What the core offers to the link, directions as the core sees them. ``docs/machine.md`` tells the rules."""

    def __init__(self) -> None:
        super().__init__(
            {
                "register_addr": In(8),
                "register_w_data": In(32),
                "register_w_en": In(1),
                "register_r_data": Out(32),
                "memory_command": In(stream.Signature(MEMORY_COMMAND)),
                "memory_w": In(stream.Signature(16)),
                "memory_r": Out(stream.Signature(16)),
                "event": In(stream.Signature(EVENT)),
                "run": In(stream.Signature(RUN)),
                "discard": In(1),
                "result": Out(stream.Signature(RESULT)),
                "idle": Out(1),
            }
        )
