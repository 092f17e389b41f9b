from opzo.hw.counters import Counters
from opzo.sim.benches.bench import run_bench


def test_counters_match_golden():
    # The testbench puts counts near the carries straight into the memory.
    run_bench(Counters(), name="counters", test_module="opzo.sim.benches.top.counters", public=["memory"])
