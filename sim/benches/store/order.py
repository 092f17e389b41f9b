"""Testbench of the order of samples: numbers and shifts of the positions of a block."""

from random import Random
from typing import Any

import cocotb
import numpy as np
from cocotb.triggers import FallingEdge
from cocotb.utils import get_sim_time

from opzo.hw.store.block import BLOCK
from opzo.hw.store.order import PLACE
from opzo.sim.benches import bench
from opzo.sim.benches.streams import StreamSink, pack
from opzo.spec.shuffle import MAX_SHIFT, SEED_BITS, order, shifts

BLOCKS = 40
COUNTS = (1, 2, 3, 4, 5, 31, 32, 33, 60_000, 65_536, 65_537, (1 << SEED_BITS) - 1)
"""Samples of an epoch."""


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def matches_golden(dut: Any) -> None:
    rng = Random(bench.seed())
    sink = StreamSink(dut, dut.clk, "o", rng, shape=PLACE)
    dut.start.value = 0
    await bench.start(dut)
    for number in range(BLOCKS):
        samples = COUNTS[number] if number < len(COUNTS) else rng.randrange(1, 1 << rng.randint(1, SEED_BITS))
        count = min(samples, rng.choice((1, 5, 9)))
        first = rng.choice((0, samples - count, rng.randrange(samples - count + 1)))
        seed, most = rng.choice((0, 1, 1 << 31, rng.getrandbits(SEED_BITS))), rng.randrange(MAX_SHIFT + 1)
        block = {name: rng.getrandbits(field.width) for name, field in BLOCK}
        block |= {"shift": most, "samples": samples, "seed": seed, "first": first, "count": count}
        sink.stall = rng.choice((0.0, 0.9))
        dut.block.value, dut.start.value = pack(BLOCK, block), 1
        await FallingEdge(dut.clk)
        dut.start.value = 0
        places = await sink.receive_all(count)
        positions = np.arange(first, first + count)
        moves = shifts(seed, positions, most)
        for k, (place, sample, (down, right)) in enumerate(
            zip(places, order(seed, samples, positions).tolist(), moves.tolist(), strict=True)
        ):
            expected = {"sample": sample, "down": down, "right": right, "last": int(k == count - 1)}
            assert place == expected, f"sample {k} of {block}: {place}, expected {expected}"
        for _ in range(80):
            await FallingEdge(dut.clk)
        assert not len(sink), "more samples than the block has"


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def is_faster_than_an_engine(dut: Any) -> None:
    """A sample of 60,000 with a shift takes less than 90 cycles on average."""
    rng = Random(bench.seed())
    sink = StreamSink(dut, dut.clk, "o", rng, shape=PLACE)
    dut.start.value = 0
    await bench.start(dut)
    count = 200
    block = dict.fromkeys((name for name, _ in BLOCK), 0)
    block |= {"shift": 2, "samples": 60_000, "seed": 77, "count": count}
    dut.block.value, dut.start.value = pack(BLOCK, block), 1
    await FallingEdge(dut.clk)
    dut.start.value = 0
    begin = get_sim_time("ns")
    await sink.receive_all(count)
    assert (get_sim_time("ns") - begin) / 10 < 90 * count
