import re
from dataclasses import asdict, replace

import pytest
from amaranth.back import rtlil

from opzo.hw.neurons.neuron_state import NeuronState
from opzo.sim.benches.bench import run_bench
from opzo.spec.limits import Limits


@pytest.mark.parametrize(("lanes", "group", "words", "classes"), [(4, 4, 5, 4), (4, 2, 3, 24), (64, 8, 4, 10)])
def test_memories_match_arrays(lanes, group, words, classes):
    check(Limits(lanes=lanes, rows=1024, inputs=256, words=words, classes=classes, lanes_per_group=group))


@pytest.mark.parametrize(
    ("steps", "group", "words", "blocks", "first"), [(6, 2, 5, 3, 0), (5, 4, 7, 7, 4), (4, 2, 3, 1, 1), (8, 4, 3, 2, 0)]
)
def test_memories_have_the_size_of_the_device(steps, group, words, blocks, first):
    limits = Limits(lanes=4, rows=1024, inputs=256, words=words, classes=10, steps=steps, lanes_per_group=group)
    limits = replace(limits, gradients=5, blocks=blocks, block=2, first_words=first)
    assert deepest(limits) == words * group * steps
    check(limits)


def deepest(limits):
    """Depth of the deepest memory."""
    text = rtlil.convert(NeuronState(limits, limits.lanes_per_group))
    return max(int(size) for size in re.findall(r"memory width \d+ size (\d+)", text))


def check(limits):
    group = limits.lanes_per_group
    run_bench(
        NeuronState(limits, group),
        name=f"neuron_state-{limits.lanes}-{group}-{limits.words}-{limits.classes}-{limits.steps}",
        test_module="opzo.sim.benches.neurons.neuron_state",
        parameters={"limits": asdict(limits), "size": group},
    )
