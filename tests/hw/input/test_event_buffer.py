import pytest
from colliding import CollidingMemory

from opzo.hw.input import event_buffer as events
from opzo.hw.input.event_buffer import EventBuffer
from opzo.sim.benches.bench import run_bench
from opzo.spec.limits import Limits


@pytest.mark.parametrize(("inputs", "stall"), [(5, 0), (5, 0.5), (64, 0), (64, 0.3)])
def test_buffer_keeps_every_sample(inputs, stall):
    run_bench(
        EventBuffer(Limits(lanes=16, rows=1024, inputs=inputs, words=8, classes=16)),
        name=f"events-{inputs}",
        test_module="opzo.sim.benches.input.event_buffer",
        parameters={"inputs": inputs, "stall": stall},
    )


def test_nobody_uses_what_is_read_while_it_is_written(monkeypatch):
    # Synthesis is told so (opzo.boards.families.flow).
    monkeypatch.setattr(events, "Memory", CollidingMemory)
    run_bench(
        EventBuffer(Limits(lanes=16, rows=1024, inputs=5, words=8, classes=16)),
        name="events-colliding",
        test_module="opzo.sim.benches.input.event_buffer",
        parameters={"inputs": 5, "stall": 0.3},
    )
