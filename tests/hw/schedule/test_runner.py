from dataclasses import asdict

from opzo.hw.schedule.runner import PassRunner
from opzo.sim.benches.bench import run_bench
from opzo.spec.network import Limits

LIMITS = Limits(lanes=16, rows=6000, inputs=4096, words=48, classes=16)


def test_unit_gives_every_row():
    run_bench(
        PassRunner(LIMITS),
        name="runner",
        test_module="opzo.sim.benches.schedule.runner",
        parameters={"limits": asdict(LIMITS)},
    )
