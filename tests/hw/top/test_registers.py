from opzo.hw.registers import RegisterFile
from opzo.sim.benches.bench import run_bench


def test_file_matches_golden():
    run_bench(RegisterFile(), name="registers", test_module="opzo.sim.benches.top.registers")
