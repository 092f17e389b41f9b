from dataclasses import asdict

import pytest

from opzo.hw.lane_state import LaneState
from opzo.sim.bench import run_bench
from opzo.spec.network import Limits


@pytest.mark.parametrize(("words", "classes"), [(5, 4), (3, 24)])
def test_memories_match_arrays(words, classes):
    limits = Limits(lanes=4, rows=1024, inputs=256, words=words, classes=classes)
    run_bench(
        LaneState(limits),
        name=f"lane_state-{words}-{classes}",
        test_module="opzo.sim.tb_lane_state",
        parameters={"limits": asdict(limits)},
    )
