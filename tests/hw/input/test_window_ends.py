from dataclasses import asdict

import pytest

from opzo.hw.input.window_ends import WindowEnds
from opzo.sim.benches.bench import run_bench
from opzo.spec.limits import Limits


@pytest.mark.parametrize(
    ("lanes", "words", "layers", "first_words", "places"), [(4, 16, 1, 0, 0), (16, 50, 3, 0, 0), (16, 50, 3, 20, 13)]
)
def test_unit_keeps_the_ends_of_all_lists(lanes: int, words: int, layers: int, first_words: int, places: int) -> None:
    limits = Limits(
        lanes=lanes,
        rows=64,
        inputs=64,
        words=words,
        classes=2,
        layers=layers,
        gradients=8,
        blocks=words,
        first_words=first_words,
        places=places,
    )
    run_bench(
        WindowEnds(limits),
        name=f"window-ends-{lanes}-{words}-{layers}-{places}",
        test_module="opzo.sim.benches.input.window_ends",
        parameters={"limits": asdict(limits)},
    )
