"""Sets of entries that a hidden layer has in the weight memory."""

from enum import Enum

from opzo.spec.network import Layer


class EntrySet(Enum):
    """Set of entries, C for each neuron of a feedback block, in the order of the memory; the value is its name."""

    LOCAL = "local readout"
    FEEDBACK = "feedback matrix"
    INTERMEDIATE = "intermediate feedback matrix"


def entry_sets(layer: Layer) -> tuple[EntrySet, ...]:
    """Sets of a hidden layer, ``layer.entry_sets`` of them, in the order of the memory."""
    has = {EntrySet.LOCAL: layer.local, EntrySet.FEEDBACK: True, EntrySet.INTERMEDIATE: layer.intermediate}
    return tuple(kind for kind in EntrySet if has[kind])
