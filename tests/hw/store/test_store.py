import pytest

from opzo.hw.link.link import Link
from opzo.sim.benches.bench import run_bench
from opzo.sim.benches.store.traffic import STORE_LIMITS


def run(stall: float, sample_cycles: int, exchanges: int, seed: int | None = None) -> None:
    run_bench(
        Link(STORE_LIMITS),
        name="link-store",
        test_module="opzo.sim.benches.store.link",
        parameters={"stall": stall, "sample_cycles": sample_cycles, "exchanges": exchanges},
        seed=seed,
    )


def test_link_with_a_store_equals_golden() -> None:
    run(0.1, 60, 80)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100, 120))
def test_link_with_a_store_equals_golden_for_many_seeds(seed: int) -> None:
    run((0.0, 0.1, 0.5)[seed % 3], (0, 100, 1000)[seed // 3 % 3], 300, seed)
