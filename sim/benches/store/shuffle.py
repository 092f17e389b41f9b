"""Testbench of the shuffle: images of numbers under the map of a seed."""

from random import Random
from typing import Any

import cocotb
import numpy as np
from cocotb.triggers import FallingEdge, ReadOnly

from opzo.sim.benches import bench
from opzo.spec.shuffle import ROUNDS, SEED_BITS, mixed

SEEDS = (0, 1, 0xFFFFFFFF, 0x80000000)
CASES = 6
"""Of each number of bits."""


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def matches_golden(dut: Any) -> None:
    rng = Random(bench.seed())
    dut.start.value = 0
    await bench.start(dut)
    for bits in range(1, SEED_BITS + 1):
        numbers = [0, (1 << bits) - 1] + [rng.getrandbits(bits) for _ in range(CASES)]
        for number in numbers:
            seed = rng.choice((*SEEDS, rng.getrandbits(SEED_BITS), rng.getrandbits(SEED_BITS)))
            dut.seed.value, dut.mask.value, dut.half.value = seed, (1 << bits) - 1, (bits + 1) // 2
            dut.number.value, dut.start.value = number, 1
            await FallingEdge(dut.clk)
            dut.number.value, dut.start.value = rng.getrandbits(SEED_BITS), 0
            for cycle in range(2 * ROUNDS + 1):
                await ReadOnly()
                assert bool(dut.done.value) == (cycle == 2 * ROUNDS), f"done in cycle {cycle}"
                if cycle < 2 * ROUNDS:
                    await FallingEdge(dut.clk)
            expected = int(mixed(seed, np.array([number]), bits)[0])
            found = int(dut.image.value)
            assert found == expected, f"{number} with {bits} bits, seed {seed}: {found}, expected {expected}"
            await FallingEdge(dut.clk)
