from dataclasses import asdict

import pytest

from opzo.hw.layer_sizes import LayerSizes
from opzo.sim.benches.bench import run_bench
from opzo.spec.limits import Limits

NETWORKS = (
    "1x1x2-1c1-2",
    "1x6x5-3c3-4",
    "2x8x8-4c3-p2-5c1-3",
    "2x12x12-4c3-p2-8c3-6-4",
    "6x32x32-16c3-p2-32c3-p2-64c3-p2-10",
    "9-5-4",
)


@pytest.mark.parametrize("lanes", [4, 32])
def test_sizes_match_the_specification(lanes: int) -> None:
    limits = Limits(lanes=lanes, rows=1, inputs=1, words=1, classes=2, layers=3, gradients=8, blocks=1)
    run_bench(
        LayerSizes(limits),
        name=f"layer-sizes-{lanes}",
        test_module="opzo.sim.benches.top.layer_sizes",
        parameters={"limits": asdict(limits), "networks": NETWORKS},
    )
