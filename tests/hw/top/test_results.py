from opzo.hw.results import Results
from opzo.sim.benches.bench import run_bench


def test_unit_sends_every_word():
    run_bench(Results(), name="results", test_module="opzo.sim.benches.top.results")
