"""Signatures between the link and the core."""

from amaranth.lib import data, stream
from amaranth.lib.wiring import In, Out, Signature

from opzo.spec.formats import HISTORY_STEPS, INPUT_BITS
from opzo.spec.limits import MAX_CLASSES, MAX_INPUTS, MAX_ROWS
from opzo.spec.memories import Space

MEMORY_COMMAND = data.StructLayout({"space": range(len(Space)), "address": range(MAX_ROWS), "write": 1})
"""One row of a memory space; see opzo.spec.memories.Space."""
EVENT = data.StructLayout({"address": range(MAX_INPUTS), "value": INPUT_BITS, "ends": range(HISTORY_STEPS + 1)})
"""One input event, or, where ``ends`` is not 0, the end of that many time steps."""
TAG_BITS = 2
"""Bits of the tag that matches a result with its run."""
RUN = data.StructLayout(
    {"train": 1, "outputs": 1, "fresh": 1, "decision": 1, "label": range(MAX_CLASSES), "tag": TAG_BITS}
)
"""End of the input of a run, with the flags of `RunFlag`; ``tag`` comes back with its result."""
RESULT = data.StructLayout({"data": 32, "first": 1, "last": 1, "tag": TAG_BITS})
"""Prediction, loss, then with ``outputs`` the summed readouts, sign-extended."""


class CoreSignature(Signature):
    """What the core offers to the link, directions as the core sees them. ``docs/machine.md`` has the rules."""

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
