from dataclasses import asdict

import pytest

from opzo.hw.lane_command import group_size
from opzo.hw.neuron_state import NeuronState
from opzo.sim.bench import run_bench
from opzo.spec.network import Limits


@pytest.mark.parametrize(("lanes", "words", "classes"), [(4, 5, 4), (4, 3, 24), (64, 4, 10)])
def test_memories_match_arrays(lanes, words, classes):
    limits = Limits(lanes=lanes, rows=1024, inputs=256, words=words, classes=classes)
    size = group_size(limits)
    run_bench(
        NeuronState(limits, size),
        name=f"neuron_state-{lanes}-{words}-{classes}",
        test_module="opzo.sim.tb_neuron_state",
        parameters={"limits": asdict(limits), "size": size},
    )
