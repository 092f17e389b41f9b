"""Testbench of ``Results``, which sends the results of runs."""

from random import Random
from typing import Any

import cocotb
from cocotb.triggers import FallingEdge, ReadOnly

from opzo.hw.interface import RESULT, RUN
from opzo.sim.benches import bench
from opzo.sim.benches.streams import StreamSink, pack, unpack
from opzo.spec.formats import LOSS_SUM_BITS, OUTPUT_SUM


class Driver:
    """Provide results, answer the unit's requests for sums, and check the words sent."""

    def __init__(self, dut: Any, rng: Random) -> None:
        self.dut, self.rng = dut, rng
        self.sums = [0] * 64
        self.sink = StreamSink(dut, dut.clk, "o", rng, shape=RESULT)
        dut.start.value = 0
        cocotb.start_soon(self._answer())

    def give(self, classes: int, outputs: int, prediction: int, loss: int, sums: list[int]) -> list[dict[str, int]]:
        """Set a sample's results and strobe ``start`` in this cycle; return the expected words."""
        dut, rng = self.dut, self.rng
        sample = unpack(RUN, rng.getrandbits(RUN.size)) | {"outputs": outputs}
        self.sums = [*sums, *(rng.randrange(OUTPUT_SUM.min, 0) for _ in range(64 - classes))]
        dut.sample.value, dut.classes.value = pack(RUN, sample), classes
        dut.answer__prediction.value, dut.answer__loss.value, dut.start.value = prediction, loss, 1
        words = [prediction, loss, *(value & 0xFFFFFFFF for value in sums if outputs)]
        return [
            {"data": word, "first": n == 0, "last": n == len(words) - 1, "tag": sample["tag"]}
            for n, word in enumerate(words)
        ]

    async def sample(self, *results: Any) -> None:
        """Provide a sample's results and receive all words."""
        dut = self.dut
        expected = self.give(*results)
        await FallingEdge(dut.clk)
        dut.start.value = 0
        for number, word in enumerate(expected):
            assert dut.busy.value == 1
            assert await self.sink.receive() == word, f"seed {bench.seed()}: word {number} of {len(expected)}"
        await ReadOnly()
        assert dut.busy.value == 0
        await FallingEdge(dut.clk)

    def random(self) -> tuple[Any, ...]:
        """Random results of a sample."""
        rng = self.rng
        classes = rng.choice((2, 64, rng.randint(2, 64)))
        ends = (OUTPUT_SUM.min, -1, 0, OUTPUT_SUM.max)
        sums = [rng.choice((*ends, rng.randint(OUTPUT_SUM.min, OUTPUT_SUM.max))) for _ in range(classes)]
        return classes, rng.getrandbits(1), rng.randrange(classes), rng.getrandbits(LOSS_SUM_BITS), sums

    async def _answer(self) -> None:
        while True:
            await ReadOnly()
            asked = int(self.dut.answer__sum_class.value)
            await FallingEdge(self.dut.clk)
            self.dut.answer__sum.value = self.sums[asked] & ((1 << OUTPUT_SUM.width) - 1)


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def sends_every_word(dut: Any) -> None:
    rng = Random(bench.seed())
    driver = Driver(dut, rng)
    await bench.start(dut)
    for outputs in (0, 1):
        await driver.sample(2, outputs, 0, 0, [0, -1])
        await driver.sample(64, outputs, 63, (1 << LOSS_SUM_BITS) - 1, [OUTPUT_SUM.min, *[OUTPUT_SUM.max] * 63])
    for _ in range(150):
        driver.sink.stall = rng.choice((0, 0.5, 0.9))
        await driver.sample(*driver.random())
        for _ in range(rng.choice((0, 5))):
            await FallingEdge(dut.clk)
            assert len(driver.sink) == 0


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def reset_ends_the_answer(dut: Any) -> None:
    rng = Random(bench.seed())
    driver = Driver(dut, rng)
    await bench.start(dut)
    for _ in range(60):
        driver.sink.stall = rng.choice((0, 0.5))
        expected = driver.give(*driver.random())
        await FallingEdge(dut.clk)
        dut.start.value = 0
        await driver.sink.receive_all(rng.randrange(len(expected)))
        dut.rst.value = 1
        await FallingEdge(dut.clk)
        dut.rst.value = 0
        await driver.sink.receive_all(len(driver.sink))
        for _ in range(5):
            await FallingEdge(dut.clk)
            assert dut.busy.value == 0
        assert len(driver.sink) == 0
        await driver.sample(*driver.random())
