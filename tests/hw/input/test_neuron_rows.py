from dataclasses import asdict

import pytest
from colliding import CollidingMemory

from opzo.hw.input import neuron_rows
from opzo.hw.input.neuron_rows import NeuronRows
from opzo.sim.benches.bench import run_bench
from opzo.spec.limits import Limits


def check(lanes: int, layers: list[int], name: str) -> None:
    words = sum(layers)
    limits = Limits(
        lanes=lanes, rows=1, inputs=1, words=words, classes=2, layers=len(layers), gradients=8, blocks=words
    )
    run_bench(
        NeuronRows(limits),
        name=f"neuron-rows-{name}",
        test_module="opzo.sim.benches.input.neuron_rows",
        parameters={"limits": asdict(limits), "layers": layers},
    )


@pytest.mark.parametrize(("lanes", "layers"), [(4, [9, 5, 2]), (16, [7])])
def test_unit_keeps_the_row_of_each_word(lanes: int, layers: list[int]) -> None:
    check(lanes, layers, str(lanes))


def test_nobody_uses_what_is_read_while_it_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    # Synthesis is told so (opzo.boards.families.flow).
    monkeypatch.setattr(neuron_rows, "Memory", CollidingMemory)
    check(4, [9, 5, 2], "colliding")
