from dataclasses import asdict

from opzo.hw.schedule.window_rows import WindowRows
from opzo.sim.benches.bench import run_bench
from opzo.spec.limits import Limits


def test_rows_match_golden() -> None:
    limits = Limits(lanes=4, rows=1, inputs=1, words=50, classes=2)
    run_bench(
        WindowRows(limits),
        name="window-rows",
        test_module="opzo.sim.benches.schedule.window_rows",
        parameters={"limits": asdict(limits)},
    )
