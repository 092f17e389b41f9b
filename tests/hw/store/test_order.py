from opzo.hw.store.order import SampleOrder
from opzo.sim.benches.bench import run_bench


def test_order_matches_golden() -> None:
    run_bench(SampleOrder(), name="order", test_module="opzo.sim.benches.store.order")
