from dataclasses import asdict

import pytest

from opzo.hw.input.position_ends import PositionEnds
from opzo.sim.benches.bench import run_bench
from opzo.spec.network import Limits


@pytest.mark.parametrize(("lanes", "words", "layers"), [(4, 16, 1), (16, 50, 3)])
def test_unit_matches_golden(lanes: int, words: int, layers: int) -> None:
    limits = Limits(lanes=lanes, rows=1, inputs=1, words=words, classes=2, layers=layers)
    run_bench(
        PositionEnds(limits),
        name=f"position-ends-{lanes}-{words}-{layers}",
        test_module="opzo.sim.benches.input.position_ends",
        parameters={"limits": asdict(limits)},
    )
