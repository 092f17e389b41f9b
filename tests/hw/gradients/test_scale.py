import pytest

from opzo.hw.gradients.scale import GradientScale
from opzo.sim.benches.bench import run_bench
from opzo.spec.limits import Limits


@pytest.mark.parametrize("gradients", [3, 1600])
def test_scale_matches_golden(gradients: int) -> None:
    run_bench(
        GradientScale(Limits(lanes=4, rows=1, inputs=1, words=1, classes=2, gradients=gradients, blocks=1)),
        name=f"gradient-scale-{gradients}",
        test_module="opzo.sim.benches.gradients.scale",
        parameters={"gradients": gradients},
    )
