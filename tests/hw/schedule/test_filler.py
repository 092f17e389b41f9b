from dataclasses import asdict

import pytest

from opzo.hw.schedule.filler import FilterFiller
from opzo.sim.benches.bench import run_bench
from opzo.spec.limits import Limits


@pytest.mark.parametrize(("gradients", "blocks"), [(0, 0), (8, 100)])
def test_unit_fills_every_word(gradients: int, blocks: int) -> None:
    limits = Limits(lanes=4, rows=1024, inputs=256, words=48, classes=16, layers=5, gradients=gradients, blocks=blocks)
    run_bench(
        FilterFiller(limits),
        name=f"filler-{gradients}",
        test_module="opzo.sim.benches.schedule.filler",
        parameters={"limits": asdict(limits)},
    )
