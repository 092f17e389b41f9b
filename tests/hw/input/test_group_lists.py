from dataclasses import asdict

import pytest

from opzo.hw.input.group_lists import GroupLists
from opzo.sim.benches.bench import run_bench
from opzo.spec.network import Limits


@pytest.mark.parametrize(("lanes", "layers"), [(4, [5, 3, 9]), (8, [6]), (32, [2, 3])])
def test_lists_give_spike_after_spike(lanes: int, layers: list[int]) -> None:
    words = sum(layers)
    limits = Limits(
        lanes=lanes, rows=1, inputs=1, words=words, classes=2, layers=len(layers), gradients=8, blocks=words
    )
    run_bench(
        GroupLists(limits),
        name=f"group-lists-{lanes}",
        test_module="opzo.sim.benches.input.group_lists",
        parameters={"limits": asdict(limits), "layers": layers},
    )
