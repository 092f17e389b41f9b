from dataclasses import asdict

import pytest

from opzo.hw.schedule.runner import PassRunner
from opzo.sim.benches.bench import run_bench
from opzo.spec.limits import Limits


@pytest.mark.parametrize(("gradients", "blocks"), [(0, 0), (500, 200)])
def test_unit_gives_every_row(gradients: int, blocks: int) -> None:
    limits = Limits(lanes=16, rows=6000, inputs=4096, words=48, classes=16, gradients=gradients, blocks=blocks)
    run_bench(
        PassRunner(limits),
        name=f"runner-{gradients}",
        test_module="opzo.sim.benches.schedule.runner",
        parameters={"limits": asdict(limits)},
    )
