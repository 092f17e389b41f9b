from dataclasses import asdict

import pytest

from opzo.hw.input.neuron_rows import NeuronRows
from opzo.sim.benches.bench import run_bench
from opzo.spec.network import Limits


@pytest.mark.parametrize(("lanes", "layers"), [(4, [9, 5, 2]), (16, [7])])
def test_unit_keeps_the_row_of_each_word(lanes: int, layers: list[int]) -> None:
    words = sum(layers)
    limits = Limits(
        lanes=lanes, rows=1, inputs=1, words=words, classes=2, layers=len(layers), gradients=8, blocks=words
    )
    run_bench(
        NeuronRows(limits),
        name=f"neuron-rows-{lanes}",
        test_module="opzo.sim.benches.input.neuron_rows",
        parameters={"limits": asdict(limits), "layers": layers},
    )
