from opzo.hw.schedule.window_walk import WindowWalk
from opzo.sim.benches.bench import run_bench
from opzo.spec.limits import Limits

NETWORKS = (
    ("1x6x5-3c3-4", 4),
    ("2x8x8-4c3-p2-5c1-3", 4),
    ("3x7x9-8c5-6c3-10", 4),
    ("1x8x8-8c3-p2-16c3-p2-10", 8),
    ("2x12x12-4c3-p2-8c3-6-4", 4),
    ("6x32x32-16c3-p2-32c3-p2-64c3-p2-10", 32),
)


def test_walk_matches_golden() -> None:
    run_bench(
        WindowWalk(Limits(lanes=4, rows=1, inputs=1, words=1, classes=2)),
        name="window-walk",
        test_module="opzo.sim.benches.schedule.window_walk",
        parameters={"networks": NETWORKS},
    )
