from dataclasses import asdict

import pytest

from opzo.hw.neurons.neurons import Neurons
from opzo.sim.benches.bench import run_bench
from opzo.spec.limits import Limits


@pytest.mark.parametrize(
    ("lanes", "group", "first", "words", "classes", "block"),
    [(4, 4, 0, 5, 10, 0), (16, 2, 8, 3, 40, 0), (64, 8, 0, 2, 10, 0), (4, 2, 2, 5, 10, 2), (16, 4, 8, 3, 40, 1)],
)
def test_unit_matches_golden(lanes, group, first, words, classes, block):
    blocks = {"gradients": 8, "blocks": 3, "block": block} if block else {}
    limits = Limits(lanes=lanes, rows=1024, inputs=256, words=words, classes=classes, lanes_per_group=group, **blocks)
    run_bench(
        Neurons(limits, group),
        name=f"neurons-{lanes}-{group}-{words}-{block}",
        test_module="opzo.sim.benches.neurons.neurons",
        parameters={"limits": asdict(limits), "first": first, "size": group},
    )
