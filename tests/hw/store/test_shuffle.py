import pytest

from opzo.hw.store.shuffle import Shuffle
from opzo.sim.benches.bench import run_bench


@pytest.mark.slow
def test_shuffle_matches_golden() -> None:
    run_bench(Shuffle(), name="shuffle", test_module="opzo.sim.benches.store.shuffle")
