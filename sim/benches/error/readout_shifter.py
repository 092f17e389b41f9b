"""Testbench of the readout shifter, with a model of the chain that it shifts."""

from random import Random
from typing import Any

import cocotb
from cocotb.triggers import FallingEdge, ReadOnly

from opzo.sim.benches import bench


class Chain:
    """The lanes' chain: it obeys ``shift`` two cycles late, and a load beats a shift."""

    def __init__(self, dut: Any, lanes: int) -> None:
        self._dut, self._shifts = dut, [False, False]
        self._values = [-1] * lanes

    async def cycle(self, load: list[int] | None = None, *, soon: bool = False) -> int | None:
        """Go through a cycle, at whose end ``load`` is loaded; return the readout that came out, if one did.

        ``soon``: there is a load in the next one.
        """
        dut = self._dut
        dut.soon.value = soon
        await ReadOnly()
        readout = self._values[0] if dut.valid.value else None
        assert dut.load.value == (load is not None)
        if load is not None:
            self._values = load
        elif self._shifts[0]:
            self._values = [*self._values[1:], -1]
        self._shifts = [self._shifts[1], bool(dut.shift.value)]
        await FallingEdge(dut.clk)
        return readout


async def load(dut: Any, rng: Random, chain: Chain, lanes: int) -> list[int]:
    """Load a word of which ``lanes`` are readouts; return those."""
    values = [rng.randrange(1 << 20) for _ in range(bench.parameters()["lanes"])]
    dut.lanes.value = lanes
    assert await chain.cycle(values) is None
    # Taken with the load.
    dut.lanes.value = rng.randrange(len(values) + 1)
    return values[:lanes]


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def gives_every_readout_once(dut: Any) -> None:
    most, rng = bench.parameters()["lanes"], Random(bench.seed())
    chain = Chain(dut, most)
    dut.soon.value = 0
    await bench.start(dut)
    await chain.cycle(soon=True)
    for lanes in (*range(1, most + 1), *(rng.randint(1, most) for _ in range(1000))):
        expected = await load(dut, rng, chain, lanes)
        # One in every cycle, and the next word at once or later.
        pause = rng.choice((0, 0, 1, 5))
        ends = [n == lanes + pause - 1 for n in range(lanes + pause)]
        readouts = [await chain.cycle(soon=soon) for soon in ends]
        assert readouts == expected + [None] * pause, f"seed {bench.seed()}"


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def reset_ends_the_word(dut: Any) -> None:
    most, rng = bench.parameters()["lanes"], Random(bench.seed())
    chain = Chain(dut, most)
    dut.soon.value = 0
    await bench.start(dut)
    for cycles in range(most):
        await chain.cycle(soon=True)
        expected = await load(dut, rng, chain, most)
        assert [await chain.cycle() for _ in range(cycles)] == expected[:cycles]
        dut.rst.value = 1
        await chain.cycle()
        dut.rst.value = 0
        assert [await chain.cycle() for _ in range(3)] == [None] * 3
        await chain.cycle(soon=True)
        expected = await load(dut, rng, chain, most)
        assert [await chain.cycle() for _ in range(most)] == expected
