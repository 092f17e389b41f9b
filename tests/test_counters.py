from opzo.hw.counters import Counters
from opzo.sim.bench import run_bench


def test_counters_match_golden():
    # The testbench puts counts near the carries straight into the memory.
    run_bench(Counters(), name="counters", test_module="opzo.sim.tb_counters", public=True)
