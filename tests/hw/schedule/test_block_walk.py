from opzo.hw.schedule.block_walk import BlockWalk
from opzo.sim.benches.bench import run_bench


def test_walk_matches_golden() -> None:
    run_bench(BlockWalk(), name="block-walk", test_module="opzo.sim.benches.schedule.block_walk")
