from dataclasses import asdict

import pytest

from opzo.hw.registers import RegisterFile
from opzo.sim.benches.bench import run_bench
from opzo.spec.limits import Limits


@pytest.mark.parametrize(("layers", "gradients"), [(1, 0), (3, 0), (5, 0), (1, 8), (3, 8)])
def test_file_matches_golden(layers, gradients):
    limits = Limits(
        lanes=4, rows=1, inputs=1, words=1, classes=2, layers=layers, gradients=gradients, blocks=min(gradients, 1)
    )
    run_bench(
        RegisterFile(limits),
        name="registers",
        test_module="opzo.sim.benches.top.registers",
        parameters={"limits": asdict(limits)},
    )
