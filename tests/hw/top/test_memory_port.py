from dataclasses import asdict

from opzo.hw.memory_port import MemoryPort
from opzo.sim.benches.bench import run_bench
from opzo.spec.network import Limits

# More rows of inputs than words, the last of them not full.
LIMITS = Limits(lanes=8, rows=100, inputs=101, words=6, classes=10)


def test_port_matches_golden():
    run_bench(
        MemoryPort(LIMITS),
        name="memory_port",
        test_module="opzo.sim.benches.top.memory_port",
        parameters={"limits": asdict(LIMITS)},
    )
