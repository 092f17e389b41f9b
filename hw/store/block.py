"""A block of samples, as RUN_STORED gives it."""

from amaranth.hdl import Cat, Value
from amaranth.lib import data

from opzo.hw.interface import TAG_BITS
from opzo.spec.commands import REQUESTS, Command, StoredFlag
from opzo.spec.shuffle import MAX_SHIFT

FIELDS = data.StructLayout({field.name: field.bits for field in REQUESTS[Command.RUN_STORED].fields})
"""Fields of the payload."""
BLOCK = data.StructLayout(
    {
        "train": 1,
        "answers": 1,
        "shift": range(MAX_SHIFT + 1),
        **{name: FIELDS[name].shape for name in ("height", "row", "pixel", "table", "samples", "seed", "first")},
        "count": FIELDS["count"].shape,
        "tag": TAG_BITS,
    }
)
"""The fields of a block that was accepted; ``tag`` comes back with its result."""


def block_of(fields: data.View, tag: Value) -> Value:
    """The bits of a BLOCK from the fields of the payload."""
    given = fields.as_value()
    parts = {name: given[field.offset : field.offset + field.width] for name, field in FIELDS}
    flags = parts["flags"]
    parts |= {"train": flags[StoredFlag.TRAIN.bit_length() - 1], "answers": flags[StoredFlag.ANSWERS.bit_length() - 1]}
    return Cat(parts.get(name, tag)[: field.width] for name, field in BLOCK)
