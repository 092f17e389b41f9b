import pytest
from amaranth.lib.wiring import Component

from opzo.hw.link.frame import FrameReceiver, FrameSender, ReplyArbiter
from opzo.sim.benches.bench import run_bench


@pytest.mark.parametrize("stall", [0.0, 0.5])
@pytest.mark.parametrize(
    ("component", "testcase"),
    [
        (FrameReceiver(), "receives_only_whole_frames"),
        (FrameSender(), "sends_frames"),
        (ReplyArbiter(), "keeps_frames_of_two_sources_apart"),
    ],
)
def test_gateware_equals_specification(component: Component, testcase: str, stall: float) -> None:
    run_bench(
        component,
        name=type(component).__name__,
        test_module="opzo.sim.benches.link.frame",
        testcase=testcase,
        parameters={"stall": stall},
    )
