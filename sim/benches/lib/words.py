"""Testbenches of the units that join bytes to words and take words apart."""

from random import Random
from typing import Any

import cocotb
from amaranth.lib import data
from cocotb.triggers import FallingEdge

from opzo.sim.benches import bench
from opzo.sim.benches.compare import assert_equal
from opzo.sim.benches.streams import StreamSink, StreamSource

STALLS = (0.0, 0.3, 0.8)
WORDS = 300


def corners(size: int) -> list[int]:
    """Words whose bytes must not change places."""
    return [0, (1 << 8 * size) - 1, 1, 1 << (8 * size - 1), int.from_bytes(bytes(range(1, size + 1)), "little")]


@cocotb.test()
async def joins_bytes(dut: Any) -> None:
    """Little-endian words of all bytes, with stalls on both sides, and again after a reset within a word."""
    size, rng = bench.parameters()["bytes"], Random(bench.seed())
    source, sink = StreamSource(dut, dut.clk, "i", rng), StreamSink(dut, dut.clk, "o", rng)
    await bench.start(dut)
    for stall in STALLS:
        source.stall = sink.stall = stall
        words = corners(size) + [rng.getrandbits(8 * size) for _ in range(WORDS)]
        cocotb.start_soon(source.send_all(b"".join(word.to_bytes(size, "little") for word in words)))
        what = f"words with stall {stall}"
        assert_equal(await sink.receive_all(len(words)), words, what=what, seed=bench.seed())
        await source.send(0xAA)
        dut.rst.value = 1
        await FallingEdge(dut.clk)
        dut.rst.value = 0
        await FallingEdge(dut.clk)


@cocotb.test()
async def splits_words(dut: Any) -> None:
    """The first ``last + 1`` bytes of each word, with stalls on both sides."""
    size, rng = bench.parameters()["bytes"], Random(bench.seed())
    shape = data.StructLayout({"word": 8 * size, "last": range(size)})
    source, sink = StreamSource(dut, dut.clk, "i", rng, shape=shape), StreamSink(dut, dut.clk, "o", rng)
    await bench.start(dut)
    for stall in STALLS:
        source.stall = sink.stall = stall
        words = corners(size) + [rng.getrandbits(8 * size) for _ in range(WORDS)]
        lasts = [n % size if n < 2 * size else rng.randrange(size) for n in range(len(words))]
        payloads = [{"word": word, "last": last} for word, last in zip(words, lasts, strict=True)]
        cocotb.start_soon(source.send_all(payloads))
        expected = b"".join(word.to_bytes(size, "little")[: last + 1] for word, last in zip(words, lasts, strict=True))
        what = f"bytes with stall {stall}"
        assert_equal(await sink.receive_all(len(expected)), list(expected), what=what, seed=bench.seed())
