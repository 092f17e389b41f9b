import pytest
from amaranth import Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from opzo.hw.interface import CoreSignature
from opzo.hw.link.link import Link
from opzo.hw.store.block_memory import BlockMemory
from opzo.sim.benches.bench import run_bench
from opzo.sim.benches.store.traffic import STORE_LIMITS


def run(stall: float, sample_cycles: int, exchanges: int, seed: int | None = None) -> None:
    run_bench(
        Link(STORE_LIMITS),
        name="link-store",
        test_module="opzo.sim.benches.store.link",
        parameters={"stall": stall, "sample_cycles": sample_cycles, "exchanges": exchanges},
        seed=seed,
    )


def test_link_with_a_store_equals_golden() -> None:
    run(0.1, 60, 80)


class LinkWithMemory(wiring.Component):
    """A link and the block RAM of its store."""

    rx: In(stream.Signature(8))
    tx: Out(stream.Signature(8))
    core: In(CoreSignature())
    busy: Out(1)
    received: Out(1)
    refused: Out(1)
    training: Out(1)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.link = link = Link(STORE_LIMITS)
        m.submodules.memory = memory = BlockMemory(STORE_LIMITS.store_bits)
        wiring.connect(m, link.memory, memory.port)
        for name in ("rx", "core"):
            wiring.connect(m, wiring.flipped(getattr(self, name)), getattr(link, name))
        wiring.connect(m, link.tx, wiring.flipped(self.tx))
        m.d.comb += [
            getattr(self, name).eq(getattr(link, name)) for name in ("busy", "received", "refused", "training")
        ]
        return m


@pytest.mark.slow
@pytest.mark.parametrize("testcase", ["equals_golden_in_step", "loses_and_repeats_nothing_when_flooded"])
def test_link_with_block_ram_equals_golden(testcase: str) -> None:
    """The content of the memory, which a reset keeps, is compared by CHECK_STORE and READ_STORE."""
    run_bench(
        LinkWithMemory(),
        name="link-block-memory",
        test_module="opzo.sim.benches.store.link",
        parameters={"stall": 0.1, "sample_cycles": 60, "exchanges": 150},
        testcase=testcase,
        seed=3,
    )


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100, 120))
def test_link_with_a_store_equals_golden_for_many_seeds(seed: int) -> None:
    run((0.0, 0.1, 0.5)[seed % 3], (0, 100, 1000)[seed // 3 % 3], 300, seed)
