from dataclasses import asdict

import pytest

from opzo.hw.input.window_ends import WindowEnds
from opzo.sim.benches.bench import run_bench
from opzo.spec.network import Limits


@pytest.mark.parametrize(("lanes", "words", "layers"), [(4, 16, 1), (16, 50, 3)])
def test_unit_keeps_the_ends_of_all_lists(lanes: int, words: int, layers: int) -> None:
    limits = Limits(lanes=lanes, rows=64, inputs=64, words=words, classes=2, layers=layers, gradients=8, blocks=words)
    run_bench(
        WindowEnds(limits),
        name=f"window-ends-{lanes}-{words}-{layers}",
        test_module="opzo.sim.benches.input.window_ends",
        parameters={"limits": asdict(limits)},
    )
