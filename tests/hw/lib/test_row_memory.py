import pytest
from amaranth import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import Out

from opzo.hw.lib.row_memory import RowMemory
from opzo.sim.benches.bench import run_bench

ROWS = (1, 1024, 1025, 3000)
WIDTH = 32


class RowMemories(wiring.Component):
    """Memories of ROWS side by side, so that one build serves all."""

    def __init__(self):
        self.memories = {f"rows_{rows}": RowMemory(rows, WIDTH) for rows in ROWS}
        super().__init__({name: Out(memory.signature) for name, memory in self.memories.items()})

    def elaborate(self, platform):
        m = Module()
        for name, memory in self.memories.items():
            m.submodules[name] = memory
            wiring.connect(m, wiring.flipped(getattr(self, name)), memory)
        return m


def test_memories_match_an_array():
    run_bench(
        RowMemories(),
        name="row_memory",
        test_module="opzo.sim.benches.lib.row_memory",
        parameters={"rows": ROWS, "width": WIDTH},
    )


def test_rejects_no_rows():
    with pytest.raises(ValueError, match="not 0"):
        RowMemory(0, WIDTH)
