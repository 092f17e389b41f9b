from dataclasses import asdict

from opzo.hw.schedule.window_scan import WindowScan
from opzo.sim.benches.bench import run_bench
from opzo.spec.limits import Limits

NETWORKS = ("1x6x5-3c3-4", "2x8x8-4c3-p2-5c1-3", "2x3x4-3c5-2c3-3")


def test_scan_matches_golden() -> None:
    limits = Limits(lanes=4, rows=1, inputs=1, words=200, classes=2)
    run_bench(
        WindowScan(limits),
        name="window-scan",
        test_module="opzo.sim.benches.schedule.window_scan",
        parameters={"networks": NETWORKS, "limits": asdict(limits)},
    )
