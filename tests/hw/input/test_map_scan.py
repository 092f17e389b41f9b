import pytest

from opzo.hw.input.map_scan import MapScan
from opzo.sim.benches.bench import run_bench


@pytest.mark.parametrize(("bits", "entry_bits"), [(6, 8), (9, 5)])
def test_scan_matches_golden(bits: int, entry_bits: int) -> None:
    run_bench(
        MapScan(bits, entry_bits),
        name=f"map-scan-{bits}-{entry_bits}",
        test_module="opzo.sim.benches.input.map_scan",
        parameters={"bits": bits, "entry_bits": entry_bits},
    )
