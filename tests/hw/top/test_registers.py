from dataclasses import asdict

import pytest

from opzo.hw.registers import RegisterFile
from opzo.sim.benches.bench import run_bench
from opzo.spec.network import Limits


@pytest.mark.parametrize("layers", [1, 3, 5])
def test_file_matches_golden(layers):
    limits = Limits(lanes=4, rows=1, inputs=1, words=1, classes=2, layers=layers)
    run_bench(
        RegisterFile(limits),
        name="registers",
        test_module="opzo.sim.benches.top.registers",
        parameters={"limits": asdict(limits)},
    )
