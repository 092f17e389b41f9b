from dataclasses import asdict

import pytest
from colliding import CollidingMemory

from opzo.hw.input import group_lists
from opzo.hw.input.group_lists import GroupLists
from opzo.sim.benches.bench import run_bench
from opzo.spec.limits import Limits


def check(lanes: int, layers: list[int], name: str) -> None:
    words = sum(layers)
    limits = Limits(
        lanes=lanes, rows=1, inputs=1, words=words, classes=2, layers=len(layers), gradients=8, blocks=words
    )
    run_bench(
        GroupLists(limits),
        name=f"group-lists-{name}",
        test_module="opzo.sim.benches.input.group_lists",
        parameters={"limits": asdict(limits), "layers": layers},
    )


@pytest.mark.parametrize(("lanes", "layers"), [(4, [5, 3, 9]), (8, [6]), (32, [2, 3])])
def test_lists_give_spike_after_spike(lanes: int, layers: list[int]) -> None:
    check(lanes, layers, str(lanes))


def test_nobody_uses_what_is_read_while_it_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    # Synthesis is told so (opzo.boards.families.flow).
    monkeypatch.setattr(group_lists, "Memory", CollidingMemory)
    check(4, [5, 3, 9], "colliding")
