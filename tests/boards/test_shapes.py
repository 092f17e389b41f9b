import re
from dataclasses import replace

import pytest
from amaranth.back import rtlil

from opzo.boards.area import AREAS
from opzo.boards.board import Family
from opzo.boards.fit import tight_limits
from opzo.boards.shapes import memories
from opzo.hw.gradients.accumulators import GradientAccumulators
from opzo.hw.input.active_rows import ActiveRows
from opzo.hw.input.event_buffer import EventBuffer
from opzo.hw.neurons.neuron_state import NeuronState
from opzo.spec.network import Network


def elaborated(unit):
    """(words, bits) of each memory of a component that has more than 64 words."""
    found = re.findall(r"memory width (\d+) size (\d+)", rtlil.convert(unit))
    return {(int(words), int(bits)) for bits, words in found if int(words) > 64}


@pytest.mark.parametrize(
    ("sizes", "lanes", "group", "block", "steps"),
    [("2x12x12-4c3-p2-8c3-6-4", 8, 4, 2, 6), ("1x8x8-8c3-p2-16c3-p2-10", 4, 2, 4, 8), ("3x9x9-8c5-10", 16, 8, 1, 5)],
)
def test_shapes_are_those_of_the_gateware(sizes, lanes, group, block, steps):
    limits = replace(tight_limits(Network(sizes, steps=steps, block=block), lanes), lanes_per_group=group)
    units = NeuronState(limits, group), GradientAccumulators(limits), ActiveRows(limits), EventBuffer(limits)
    assert {shape for _, shape in memories(limits)} == set().union(*map(elaborated, units))


def test_block_rams_by_hand():
    limits = tight_limits(Network("1x28x28-8c3-p2-16c3-p2-10"), 8)
    shapes = dict((shape, copies) for copies, shape in memories(limits))
    # Four groups of two lanes with 1,176 words each, 784 of them in the first layer; six steps; 294 block words.
    assert shapes[2352, 21] == shapes[1568, 20] == shapes[14112, 6] == shapes[3528, 18] == 4
    assert shapes[1764, 14] == 8
    assert shapes[156, 64] == 4
    area = AREAS[Family.ECP5]
    state = 4 * (5 + 3 + 6 + 4 + 2 * 2 + 2)
    # Groups with spikes; active neurons, rows of their words, traces; ends of 245 places and 784 inputs; the queue.
    lists = 5 + 10 + 2 + 10 + 2 * 1 + 2 * 1 + 2 * 1 + 3
    events = 3 + 1 + 1
    assert area.estimate(limits).block_rams == area.row_memory(limits) + state + lists + events + 3
    assert area.row_memory(limits) == 40


def test_cells_are_near_those_of_a_chip_that_was_synthesised():
    limits = replace(tight_limits(Network("1x28x28-8c3-p2-16c3-p2-10"), 8), lanes_per_group=8)
    needed = AREAS[Family.ECP5].estimate(limits)
    assert needed.luts == pytest.approx(28_120, rel=0.05)
    assert needed.flip_flops == pytest.approx(19_333, rel=0.05)
    assert needed.block_rams == pytest.approx(163, rel=0.05)
    assert needed.multipliers == pytest.approx(34, rel=0.1)
