"""Shapes of the memories of a chip with convolutions, whose sizes follow the network."""

from collections.abc import Iterator

from amaranth.utils import exact_log2

from opzo.hw.input.position_ends import list_entries
from opzo.hw.input.scanner import entry_bits, fired_layout, group_lanes, groups_of_word, queue_words
from opzo.hw.input.traces import ENTRY
from opzo.hw.interface import EVENT
from opzo.hw.neurons.neuron_state import block_sums, code, potential
from opzo.spec.formats import BLOCK_SUM, CREDIT, GRADIENT, MEMBRANE
from opzo.spec.limits import Limits

Shape = tuple[int, int]
"""Words, and bits of a word."""


def memories(limits: Limits) -> Iterator[tuple[int, Shape]]:
    """Copies and shape of each memory of more than 64 words, without the row memory."""
    for copies, shape in (*_of_groups(limits), *_of_lists(limits), *_of_events(limits)):
        if shape[0] > 64:
            yield copies, shape


def _of_groups(limits: Limits) -> Iterator[tuple[int, Shape]]:
    """State and gradients of the groups of lanes."""
    groups, size, steps = limits.groups, limits.lanes_per_group, limits.steps
    neurons = limits.words * size
    yield groups, (neurons, potential(limits).size)
    yield groups, (limits.stored_currents * size, MEMBRANE.width)
    yield groups, (neurons * steps, code(limits).size)
    yield 2 * groups, (limits.blocks * steps, size * block_sums(limits).size)
    yield groups, (limits.blocks * size * steps, BLOCK_SUM.width)
    yield groups, (limits.readout_words * size * steps, CREDIT.width)
    yield groups, (limits.gradients, size * GRADIENT.width)


def _of_lists(limits: Limits) -> Iterator[tuple[int, Shape]]:
    """Lists of spikes and of active rows, ends of positions in them, words of spikes that wait."""
    neurons = limits.words * limits.lanes
    yield 1, (2 * limits.words * groups_of_word(limits), entry_bits(limits) + group_lanes(limits))
    yield 1, (neurons, limits.neuron_bits)
    yield 1, (limits.words, entry_bits(limits))
    yield 1, (neurons, ENTRY.size)
    # A span is read at both ends at once.
    groups = (limits.words * groups_of_word(limits)).bit_length()
    yield 2, (2 * limits.stored_places, neurons.bit_length() + groups)
    ends = (len(list_entries(limits)) - 1).bit_length()
    yield 2, (limits.stored_places, ends)
    yield 2, (limits.stored_currents, ends)
    yield 1, (queue_words(limits), fired_layout(limits).size + max(1, limits.lanes // 8))


def _of_events(limits: Limits) -> Iterator[tuple[int, Shape]]:
    """Events of two runs; lists and traces of the inputs."""
    yield 1, (2 * limits.events, EVENT["address"].width + EVENT["value"].width)
    inputs = limits.input_words * limits.lanes
    yield 1, (inputs, max(exact_log2(limits.events), limits.lane_bits))
    yield 1, (inputs, ENTRY.size)
