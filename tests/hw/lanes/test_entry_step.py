from dataclasses import asdict

import pytest

from opzo.hw.lanes.entry_step import EntryStep
from opzo.sim.benches.bench import run_bench
from opzo.spec.limits import Limits


@pytest.mark.parametrize("block", [1, 2, 32])
def test_unit_matches_golden(block):
    limits = Limits(lanes=4, rows=1, inputs=1, words=4, classes=2, gradients=1, blocks=4, block=block)
    run_bench(
        EntryStep(limits),
        name=f"entry_step-{block}",
        test_module="opzo.sim.benches.lanes.entry_step",
        parameters={"limits": asdict(limits)},
    )
