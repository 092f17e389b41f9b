from dataclasses import asdict, replace

import pytest

from opzo.hw.memory_port import MemoryPort
from opzo.sim.benches.bench import run_bench
from opzo.spec.limits import Limits

# More rows of inputs than words, the last of them not full.
LIMITS = Limits(lanes=8, rows=100, inputs=101, words=6, classes=10)
CONVOLUTIONS = replace(LIMITS, gradients=30, blocks=4, block=2)


@pytest.mark.parametrize("limits", [LIMITS, CONVOLUTIONS], ids=["dense", "convolutions"])
def test_port_matches_golden(limits):
    run_bench(
        MemoryPort(limits),
        name=f"memory_port-{limits.gradients}",
        test_module="opzo.sim.benches.top.memory_port",
        parameters={"limits": asdict(limits)},
    )
