from dataclasses import asdict

import pytest

from opzo.hw.link.event_decoder import EventDecoder
from opzo.sim.benches.bench import run_bench
from opzo.spec.limits import Limits


@pytest.mark.parametrize(("inputs", "steps", "runs"), [(300, 7, 100), (4096, 8, 12), (1, 1, 100), (5, 8, 100)])
def test_decoder_matches_golden(inputs: int, steps: int, runs: int) -> None:
    limits = Limits(lanes=4, rows=1024, inputs=inputs, words=8, classes=16, steps=steps)
    run_bench(
        EventDecoder(limits),
        name=f"event_decoder-{inputs}",
        test_module="opzo.sim.benches.link.event_decoder",
        parameters={"limits": asdict(limits), "runs": runs},
    )
