import pytest

from opzo.hw.link import Link
from opzo.sim.bench import run_bench
from opzo.sim.traffic import TEST_LIMITS


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize(("stall", "sample_cycles"), [(0.0, 0), (0.0, 4000), (0.3, 500), (0.6, 2000)])
def test_gateware_equals_golden(stall: float, sample_cycles: int, seed: int) -> None:
    run_bench(
        Link(TEST_LIMITS),
        name="link",
        test_module="opzo.sim.tb_link",
        parameters={"stall": stall, "sample_cycles": sample_cycles},
        seed=seed,
    )
