from opzo.hw.results import Results
from opzo.sim.benches.bench import run_bench
from opzo.spec.network import Limits


def test_unit_sends_every_word():
    limits = Limits(lanes=16, rows=1024, inputs=256, words=8, classes=64)
    run_bench(Results(limits), name="results", test_module="opzo.sim.benches.top.results")
