from dataclasses import asdict

import pytest

from opzo.hw.neurons.neuron_state import NeuronState
from opzo.sim.benches.bench import run_bench
from opzo.spec.network import Limits


@pytest.mark.parametrize(("lanes", "group", "words", "classes"), [(4, 4, 5, 4), (4, 2, 3, 24), (64, 8, 4, 10)])
def test_memories_match_arrays(lanes, group, words, classes):
    limits = Limits(lanes=lanes, rows=1024, inputs=256, words=words, classes=classes, lanes_per_group=group)
    run_bench(
        NeuronState(limits, group),
        name=f"neuron_state-{lanes}-{group}-{words}-{classes}",
        test_module="opzo.sim.benches.neurons.neuron_state",
        parameters={"limits": asdict(limits), "size": group},
    )
