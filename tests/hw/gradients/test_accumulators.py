from dataclasses import asdict

import pytest
from colliding import CollidingMemory

from opzo.hw.gradients import accumulators
from opzo.hw.gradients.accumulators import GradientAccumulators
from opzo.sim.benches.bench import run_bench
from opzo.spec.limits import Limits


@pytest.mark.parametrize(("lanes", "gradients"), [(2, 2), (4, 300)])
def test_unit_matches_golden(lanes: int, gradients: int) -> None:
    limits = Limits(lanes=4, rows=1, inputs=1, words=1, classes=2, lanes_per_group=lanes, gradients=gradients, blocks=1)
    run_bench(
        GradientAccumulators(limits),
        name=f"gradients-{lanes}-{gradients}",
        test_module="opzo.sim.benches.gradients.accumulators",
        parameters={"limits": asdict(limits)},
    )


def test_nobody_uses_what_is_read_while_it_is_written(monkeypatch) -> None:
    # Synthesis is told so (opzo.boards.families.flow).
    monkeypatch.setattr(accumulators, "Memory", CollidingMemory)
    limits = Limits(lanes=4, rows=1, inputs=1, words=1, classes=2, lanes_per_group=2, gradients=2, blocks=1)
    run_bench(
        GradientAccumulators(limits),
        name="gradients-colliding",
        test_module="opzo.sim.benches.gradients.accumulators",
        parameters={"limits": asdict(limits)},
    )


def test_a_device_without_convolutions_has_none() -> None:
    with pytest.raises(ValueError, match="without convolutions"):
        GradientAccumulators(Limits(lanes=4, rows=1, inputs=1, words=1, classes=2))
