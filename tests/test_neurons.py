from dataclasses import asdict

import pytest

from opzo.hw.lane_command import group_size
from opzo.hw.neurons import Neurons
from opzo.sim.bench import run_bench
from opzo.spec.network import Limits


@pytest.mark.parametrize(("lanes", "first", "words", "classes"), [(4, 0, 5, 10), (16, 8, 3, 40), (64, 0, 2, 10)])
def test_unit_matches_golden(lanes, first, words, classes):
    limits = Limits(lanes=lanes, rows=1024, inputs=256, words=words, classes=classes)
    size = group_size(limits)
    run_bench(
        Neurons(limits, first, size),
        name=f"neurons-{lanes}-{first}-{words}",
        test_module="opzo.sim.tb_neurons",
        parameters={"limits": asdict(limits), "first": first, "size": size},
    )
