import pytest

from opzo.hw.events import EventBuffer
from opzo.sim.bench import run_bench
from opzo.spec.network import Limits


@pytest.mark.parametrize(("inputs", "stall"), [(5, 0), (5, 0.5), (64, 0), (64, 0.3)])
def test_buffer_keeps_every_sample(inputs, stall):
    run_bench(
        EventBuffer(Limits(lanes=16, rows=1024, inputs=inputs, words=8, classes=16)),
        name=f"events-{inputs}",
        test_module="opzo.sim.tb_events",
        parameters={"inputs": inputs, "stall": stall},
    )
