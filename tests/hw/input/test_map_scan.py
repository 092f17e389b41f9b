import pytest

from opzo.hw.input.map_scan import MapScan
from opzo.sim.benches.bench import run_bench


@pytest.mark.parametrize("bits", [6, 9])
def test_scan_matches_golden(bits: int) -> None:
    run_bench(
        MapScan(bits),
        name=f"map-scan-{bits}",
        test_module="opzo.sim.benches.input.map_scan",
        parameters={"bits": bits},
    )
