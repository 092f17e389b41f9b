import pytest

from opzo.hw.link.link import Link
from opzo.sim.benches.bench import run_bench
from opzo.sim.benches.traffic import TEST_LIMITS


def run(stall: float, sample_cycles: int, seed: int | None = None) -> None:
    run_bench(
        Link(TEST_LIMITS),
        name="link",
        test_module="opzo.sim.benches.link.link",
        parameters={"stall": stall, "sample_cycles": sample_cycles},
        seed=seed,
    )


@pytest.mark.parametrize(("stall", "sample_cycles"), [(0.0, 0), (0.0, 2000), (0.4, 500)])
def test_gateware_equals_golden(stall: float, sample_cycles: int) -> None:
    run(stall, sample_cycles)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100, 120))
def test_gateware_equals_golden_for_many_seeds(seed: int) -> None:
    run((0.0, 0.1, 0.5)[seed % 3], (0, 100, 1000, 10_000)[seed % 4], seed)
