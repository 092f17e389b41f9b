"""Memory behind the sample store, at the port of the link in a testbench."""

from random import Random
from typing import Any

import cocotb
import numpy as np

from opzo.hw.store.memory import command_layout
from opzo.sim.benches.streams import StreamSink, StreamSource


class MemoryModel:
    """Execute the commands of ``StoreMemorySignature`` in order, with random delays.

    Attributes
    ----------
    words : uint16 (limits.store / 2,)
    """

    def __init__(self, dut: Any, store: int, bits: int, rng: Random, stall: float) -> None:
        self.words = np.zeros(store // 2, np.uint16)
        self._commands = StreamSink(dut, dut.clk, "memory__command", rng, stall, shape=command_layout(bits))
        self._writes = StreamSink(dut, dut.clk, "memory__write", rng, stall)
        self._reads = StreamSource(dut, dut.clk, "memory__read", rng, stall)
        cocotb.start_soon(self._execute())

    async def _execute(self) -> None:
        while True:
            command = await self._commands.receive()
            begin, count = command["address"], command["words"]
            assert 0 < count <= len(self.words) - begin, f"a command beyond the memory: {command}"
            if command["write"]:
                self.words[begin : begin + count] = await self._writes.receive_all(count)
            else:
                await self._reads.send_all(self.words[begin : begin + count].tolist())
