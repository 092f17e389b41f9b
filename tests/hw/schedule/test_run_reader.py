from dataclasses import asdict

from opzo.hw.schedule.run_reader import RunReader
from opzo.sim.benches.bench import run_bench
from opzo.spec.limits import Limits

NETWORKS = ("1x6x5-3c3-4", "2x8x8-4c3-p2-5c1-3", "3x7x9-8c5-6c3-10", "1x8x8-8c3-p2-16c3-p2-10")


def test_reader_matches_golden() -> None:
    limits = Limits(lanes=4, rows=1, inputs=1, words=200, classes=2)
    run_bench(
        RunReader(limits),
        name="run-reader",
        test_module="opzo.sim.benches.schedule.run_reader",
        parameters={"networks": NETWORKS, "limits": asdict(limits)},
    )
