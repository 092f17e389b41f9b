from dataclasses import asdict

import pytest

from opzo.hw.schedule.issue import Issue
from opzo.sim.benches.bench import run_bench
from opzo.spec.limits import Limits


@pytest.mark.parametrize(("gradients", "blocks"), [(0, 0), (500, 200)])
def test_unit_commands_what_the_item_means(gradients, blocks):
    # An address has more bits than the row of a window, which may be counted from a negative base.
    limits = Limits(lanes=16, rows=60_000, inputs=4095, words=48, classes=16, gradients=gradients, blocks=blocks)
    run_bench(
        Issue(limits),
        name=f"issue-{gradients}",
        test_module="opzo.sim.benches.schedule.issue",
        parameters={"limits": asdict(limits)},
    )
