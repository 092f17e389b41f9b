from dataclasses import asdict

import pytest

from opzo.hw.lanes.lanes import Lanes
from opzo.sim.benches.bench import run_bench
from opzo.spec.limits import Limits


@pytest.mark.parametrize(
    ("lanes", "group", "block", "weight_bits"), [(4, 2, 2, 12), pytest.param(8, 4, 4, 16, marks=pytest.mark.slow)]
)
def test_lanes_with_convolutions_match_golden(lanes, group, block, weight_bits):
    limits = Limits(
        lanes=lanes,
        rows=24,
        inputs=4,
        words=40,
        classes=lanes,
        steps=5,
        weight_bits=weight_bits,
        lanes_per_group=group,
        gradients=6,
        blocks=5,
        block=block,
    )
    run_bench(
        Lanes(limits),
        name=f"lanes-{lanes}-{block}",
        test_module="opzo.sim.benches.lanes.lanes",
        parameters={"limits": asdict(limits)},
    )
