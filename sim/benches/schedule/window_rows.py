"""Testbench of the rows of windows."""

from random import Random
from typing import Any

import cocotb
from cocotb.triggers import FallingEdge
from cocotb.utils import get_sim_time

from opzo.hw.schedule.run_reader import run_layout
from opzo.hw.schedule.window_rows import window_row_layout
from opzo.sim.benches import bench
from opzo.sim.benches.streams import StreamSink, StreamSource, unpack
from opzo.spec.limits import Limits

FILL_CYCLES = 4
"""From a queued run to its first row, at most."""


class Rows:
    """The unit between runs and rows."""

    def __init__(self, dut: Any, rng: Random) -> None:
        self.dut, self.rng = dut, rng
        limits = Limits(**bench.parameters()["limits"])
        self.layout, self.entries = run_layout(limits), limits.words * limits.lanes
        self.source = StreamSource(dut, dut.clk, "runs", rng, shape=self.layout)
        self.sink = StreamSink(dut, dut.clk, "rows", rng, shape=window_row_layout(limits))

    def window(self, runs: int, most: int) -> list[dict[str, int]]:
        """Runs of a window with up to ``most`` entries each."""
        found = []
        for number in range(runs):
            run: dict[str, int] = unpack(self.layout, self.rng.getrandbits(self.layout.size))
            count = self.rng.randint(0, most)
            index = self.rng.randint(0, self.entries - count)
            found.append(run | {"index": index, "count": count, "last": int(number == runs - 1)})
        return found

    def expected(self, window: list[dict[str, int]]) -> list[dict[str, int | None]]:
        """Rows of a window; None: anything."""
        rows: list[dict[str, int | None]] = []
        for run in window:
            for index in range(run["index"], run["index"] + run["count"]):
                begins = int(index == run["index"])
                rows.append({"index": index, "base": run["base"], "begins": begins, "bias": 0, "final": 0})
        last = window[-1]
        rows.append({"index": None, "base": None, "begins": None, "bias": 1, "final": last["final"]})
        last_words: list[int] = [run["last_word"] for run in window for _ in range(run["count"])]
        for number, (row, last_word) in enumerate(zip(rows, [*last_words, last["last_word"]], strict=True)):
            row |= {"first": int(number == 0), "last_word": last_word}
        return rows

    async def check(self, windows: list[list[dict[str, int]]]) -> None:
        """Send and compare."""
        for window in windows:
            for run in window:
                self.last = self.source.put(run)
        for window in windows:
            for row in self.expected(window):
                got = await self.sink.receive()
                wanted = {name: got[name] if value is None else value for name, value in row.items()}
                assert got == wanted, f"seed {bench.seed()}, {window}: {got}, expected {row}"

    def random_windows(self) -> list[list[dict[str, int]]]:
        """Windows of sparse and dense maps."""
        most = self.rng.choice((0, 1, 2, 8))
        return [self.window(self.rng.randint(1, 5), most) for _ in range(self.rng.randint(1, 12))]


async def begin(dut: Any) -> Rows:
    rows = Rows(dut, Random(bench.seed()))
    await bench.start(dut)
    return rows


@cocotb.test(timeout_time=100, timeout_unit="ms")
async def matches_golden(dut: Any) -> None:
    rows = await begin(dut)
    for _ in range(100):
        rows.source.stall, rows.sink.stall = (rows.rng.choice((0, 0.3, 0.8)) for _ in range(2))
        await rows.check(rows.random_windows())


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def takes_a_cycle_for_each_row_and_empty_run(dut: Any) -> None:
    rows = await begin(dut)
    for _ in range(60):
        windows = rows.random_windows()
        count = sum(len(rows.expected(window)) for window in windows)
        empty = sum(run["count"] == 0 for window in windows for run in window[:-1])
        since = get_sim_time("ns")
        await rows.check(windows)
        assert (get_sim_time("ns") - since) / 10 <= count + empty + FILL_CYCLES


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def reset_forgets_the_window(dut: Any) -> None:
    rows = await begin(dut)
    for _ in range(60):
        # Also in the middle of a window.
        for run in rows.window(4, 3)[: rows.rng.randint(1, 4)]:
            last = rows.source.put(run)
        await last.wait()
        for _ in range(rows.rng.randrange(4)):
            await FallingEdge(dut.clk)
        dut.rst.value = 1
        await FallingEdge(dut.clk)
        dut.rst.value = 0
        rows.sink.clear()
        assert dut.rows__valid.value == 0
        await rows.check(rows.random_windows())
