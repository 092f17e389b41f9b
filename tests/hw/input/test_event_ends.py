from dataclasses import asdict

import pytest

from opzo.hw.input.event_ends import EventEnds
from opzo.sim.benches.bench import run_bench
from opzo.spec.limits import Limits


@pytest.mark.parametrize("inputs", [8, 64, 75])
def test_walk_matches_golden(inputs: int) -> None:
    limits = Limits(lanes=4, rows=128, inputs=inputs, words=80, classes=2, layers=1, gradients=8, blocks=1)
    run_bench(
        EventEnds(limits),
        name=f"event-ends-{inputs}",
        test_module="opzo.sim.benches.input.event_ends",
        parameters={"limits": asdict(limits)},
    )
