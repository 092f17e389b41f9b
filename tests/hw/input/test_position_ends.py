from dataclasses import asdict

import pytest

from opzo.hw.input.position_ends import PositionEnds
from opzo.sim.benches.bench import run_bench
from opzo.spec.limits import Limits


@pytest.mark.parametrize(("lanes", "words", "layers", "places"), [(4, 16, 1, 0), (16, 50, 3, 0), (4, 50, 3, 13)])
def test_unit_matches_golden(lanes: int, words: int, layers: int, places: int) -> None:
    limits = Limits(lanes=lanes, rows=1, inputs=1, words=words, classes=2, layers=layers, places=places)
    run_bench(
        PositionEnds(limits),
        name=f"position-ends-{lanes}-{words}-{layers}-{places}",
        test_module="opzo.sim.benches.input.position_ends",
        parameters={"limits": asdict(limits)},
    )
