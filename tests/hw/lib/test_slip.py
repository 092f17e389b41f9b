import pytest

from opzo.hw.lib.slip import SlipDecoder, SlipEncoder
from opzo.sim.benches.bench import run_bench


@pytest.mark.parametrize("stall", [0.0, 0.5])
def test_decoder(stall: float) -> None:
    run_bench(
        SlipDecoder(),
        name="slip_decoder",
        test_module="opzo.sim.benches.lib.slip",
        testcase="decodes_anything_like_the_specification",
        parameters={"stall": stall},
    )


@pytest.mark.parametrize("stall", [0.0, 0.5])
def test_encoder(stall: float) -> None:
    run_bench(
        SlipEncoder(),
        name="slip_encoder",
        test_module="opzo.sim.benches.lib.slip",
        testcase="encodes_what_the_specification_decodes",
        parameters={"stall": stall},
    )
