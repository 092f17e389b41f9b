import pytest

from opzo.boards.lights import Lights
from opzo.sim.benches.bench import run_bench


@pytest.mark.parametrize("cycles", [1, 13])
def test_lights_stay_on_and_go_off(cycles):
    run_bench(
        Lights(3, cycles),
        name="lights",
        test_module="opzo.sim.benches.boards.lights",
        parameters={"count": 3, "cycles": cycles},
    )


def test_rejects_no_time():
    with pytest.raises(ValueError, match="not 0"):
        Lights(3, 0)
