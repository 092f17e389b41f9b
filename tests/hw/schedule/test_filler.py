from dataclasses import asdict

from opzo.hw.schedule.filler import FilterFiller
from opzo.sim.benches.bench import run_bench
from opzo.spec.network import Limits

LIMITS = Limits(lanes=4, rows=1024, inputs=256, words=48, classes=16, layers=5)


def test_unit_fills_every_word():
    run_bench(
        FilterFiller(LIMITS),
        name="filler",
        test_module="opzo.sim.benches.schedule.filler",
        parameters={"limits": asdict(LIMITS)},
    )
