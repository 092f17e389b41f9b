from dataclasses import asdict

from opzo.hw.schedule.issue import Issue
from opzo.sim.benches.bench import run_bench
from opzo.spec.network import Limits

LIMITS = Limits(lanes=16, rows=6000, inputs=4095, words=48, classes=16)


def test_unit_commands_what_the_item_means():
    run_bench(
        Issue(LIMITS),
        name="issue",
        test_module="opzo.sim.benches.schedule.issue",
        parameters={"limits": asdict(LIMITS)},
    )
