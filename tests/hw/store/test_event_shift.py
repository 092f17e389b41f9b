import pytest

from opzo.hw.store.event_shift import EventShift
from opzo.sim.benches.bench import run_bench
from opzo.spec.limits import Limits


@pytest.mark.parametrize("inputs", [pytest.param(100, marks=pytest.mark.slow), 301])
def test_shift_matches_golden(inputs: int) -> None:
    run_bench(
        EventShift(Limits(lanes=4, rows=1024, inputs=inputs, words=8, classes=16, steps=8)),
        name=f"event_shift-{inputs}",
        test_module="opzo.sim.benches.store.event_shift",
        parameters={"inputs": inputs},
    )
