"""Testbench of row memories of different sizes in one design."""

from collections import deque
from random import Random
from typing import Any

import cocotb
import numpy as np
from cocotb.triggers import FallingEdge

from opzo.hw.lib.row_memory import READ_LATENCY
from opzo.sim.benches import bench
from opzo.sim.benches.compare import assert_equal

COUNT = 4000


class Port:
    """Ports of a memory, and a model of its content."""

    def __init__(self, dut: Any, rows: int, width: int, rng: Random) -> None:
        self._read_address, self._read_data, self._write_address, self._write_data, self._write_en = (
            getattr(dut, f"rows_{rows}__{name}")
            for name in ("read_address", "read_data", "write_address", "write_data", "write_en")
        )
        self._write_en.value = 0
        self._next_data = 0
        self._rng, self._width, self.rows = rng, width, rows
        self._data = np.zeros(rows, np.int64)
        self._due: deque[tuple[int, int]] = deque()
        self.read: list[int] = []
        self.expected: list[int] = []

    def step(self, read: int, write: int | None) -> None:
        """Set the inputs of a cycle: the row to read, and the row to write with random data, if any."""
        self._due.append((read, int(self._data[read])))
        if len(self._due) > READ_LATENCY:
            self.read.append(int(self._read_data.value))
            self.expected.append(self._due.popleft()[1])
        self._read_address.value = read
        self._write_en.value = write is not None
        self._write_address.value = self._rng.randrange(self.rows) if write is None else write
        self._write_data.value = self._next_data
        self._next_data = data = self._rng.getrandbits(self._width)
        if write is not None:
            # A read in this cycle still gives the old word.
            self._data[write] = data


def random_row(rng: Random, rows: int) -> int:
    """A random row, often at an end of a bank."""
    ends = [row for row in (0, 1, 1022, 1023, 1024, 1025, 2047, 2048, rows - 2, rows - 1) if 0 <= row < rows]
    return rng.choice((rng.randrange(rows), rng.choice(ends)))


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def matches_an_array(dut: Any) -> None:
    p, rng = bench.parameters(), Random(bench.seed())
    ports = [Port(dut, rows, p["width"], rng) for rows in p["rows"]]
    await bench.start(dut)

    async def cycle() -> None:
        await FallingEdge(dut.clk)

    most = max(p["rows"])
    # Write all rows, and read each in the cycle after its write; smaller memories wrap around.
    for n in range(most + 1):
        for port in ports:
            port.step((n - 1) % port.rows, n % port.rows)
        await cycle()
    for n in range(most):
        for port in ports:
            port.step(n % port.rows, None)
        await cycle()
    for _ in range(COUNT):
        for port in ports:
            read, write = random_row(rng, port.rows), random_row(rng, port.rows)
            same = rng.random() < 0.2
            port.step(read, (read if same else write) if rng.random() < 0.5 else None)
        await cycle()
    for port in ports:
        assert_equal(port.read, port.expected, what=f"{port.rows} rows, by read", seed=bench.seed())
