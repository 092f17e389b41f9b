"""A core for the testbench of the link: drives ``CoreSignature`` from a fake core, with random delays."""

from collections import deque
from random import Random
from typing import Any

import cocotb
import numpy as np
from cocotb.triggers import Event, FallingEdge, ReadOnly

from opzo.hw.interface import EVENT, MEMORY_COMMAND, RESULT, RUN
from opzo.hw.timing import REGISTER_CYCLES
from opzo.sim.benches.fake_core import FakeCore
from opzo.sim.benches.streams import StreamSink, StreamSource
from opzo.spec.commands import RunFlag
from opzo.spec.events import Chunk
from opzo.spec.memories import Space
from opzo.spec.protocol import CREDITS

Items = list[dict[str, int]]
"""Items of the stream ``event``."""


def chunk_of(items: Items) -> Chunk:
    """Input of a run."""
    addresses: list[int] = []
    values: list[int] = []
    ends: list[int] = []
    for item in items:
        if item["ends"]:
            ends += [len(addresses)] * item["ends"]
        else:
            addresses.append(item["address"])
            values.append(item["value"])
    return Chunk(*(np.array(part, np.int64) for part in (addresses, values, ends)))


def flags_of(run: dict[str, int]) -> RunFlag:
    """Flags of an item of the stream ``run``."""
    return sum((flag for flag in RunFlag if flag.name and run[flag.name.lower()]), RunFlag(0))


class CorePort:
    """Behavioural core at the link's port ``core``; checks that the link follows the rules in ``docs/machine.md``.

    Parameters
    ----------
    dut : cocotb handle
        The link.
    core : FakeCore
        Executes the commands.
    rng : random.Random
        Source of the delays.
    stall : float
        Probability of a stall on each stream and cycle.
    sample_cycles : int
        Maximum number of cycles of a run.

    Attributes
    ----------
    held : bool
        While True, no run finishes.
    """

    def __init__(self, dut: Any, core: FakeCore, rng: Random, stall: float = 0.0, sample_cycles: int = 0) -> None:
        self.core = core
        self.held = False
        self._dut, self._rng, self._stall, self._sample_cycles = dut, rng, stall, sample_cycles
        self._items: Items = []
        # Runs whose half of the event buffer is closed, and rows in progress.
        self._closed: deque[tuple[Chunk, dict[str, int]]] = deque()
        self._rows = 0
        self._wake = Event()
        self._sinks = {
            name: StreamSink(dut, dut.clk, f"core__{name}", rng, stall, shape=shape)
            for name, shape in (
                ("event", EVENT),
                ("run", RUN),
                ("memory_command", MEMORY_COMMAND),
                ("memory_w", None),
            )
        }
        self._result = StreamSource(dut, dut.clk, "core__result", rng, stall, shape=RESULT)
        self._memory_r = StreamSource(dut, dut.clk, "core__memory_r", rng, stall)
        dut.core__idle.value = 1
        dut.core__register_r_data.value = 0
        for task in (self._ports(), self._collect(), self._engine(), self._memory()):
            cocotb.start_soon(task)

    @property
    def idle(self) -> bool:
        """Whether no run (until its result is taken) and no memory row is queued or in progress."""
        return not self._closed and self._rows == 0

    async def _ports(self) -> None:
        dut = self._dut
        await FallingEdge(dut.rst)
        # Contents of the addressed registers, oldest first.
        answers = deque([0] * REGISTER_CYCLES, REGISTER_CYCLES)
        while True:
            await FallingEdge(dut.clk)
            dut.core__register_r_data.value = answers[0]
            dut.core__idle.value = int(self.idle)
            await ReadOnly()
            address = dut.core__register_addr.value.to_unsigned()
            answers.append(self.core.read_register(address))
            if dut.core__register_w_en.value:
                assert self.idle, "a register was written during a run"
                self.core.write_register(address, dut.core__register_w_data.value.to_unsigned())
            if dut.core__discard.value:
                assert len(self._closed) < CREDITS, "discard while no half is being filled"
                await self._fetch_events()
                assert self._items, "discard without any item received"
                self._items = []

    async def _fetch_events(self) -> None:
        sink = self._sinks["event"]
        self._items += await sink.receive_all(len(sink))
        chunk = chunk_of(self._items)
        assert len(chunk.addresses) <= self.core.limits.events, "more events than the limits of the core"
        assert len(chunk.ends) <= self.core.limits.steps, "more time steps than the limits of the core"

    async def _collect(self) -> None:
        while True:
            run = await self._sinks["run"].receive()
            await self._fetch_events()
            self._closed.append((chunk_of(self._items), run))
            self._items = []
            self._gate()
            self._wake.set()

    def _gate(self) -> None:
        full = len(self._closed) >= CREDITS
        self._sinks["event"].stall = self._sinks["run"].stall = 1.0 if full else self._stall

    async def _engine(self) -> None:
        while True:
            while not self._closed:
                self._wake.clear()
                await self._wake.wait()
            chunk, run = self._closed[0]
            while self.held:
                await FallingEdge(self._dut.clk)
            for _ in range(self._rng.randint(0, self._sample_cycles)):
                await FallingEdge(self._dut.clk)
            result = self.core.run(chunk, run["label"], flags_of(run))
            words = [result.prediction, result.loss, *(result.outputs if run["outputs"] else ())]
            last = len(words) - 1
            taken = [
                self._result.put({"data": word, "first": k == 0, "last": k == last, "tag": run["tag"]})
                for k, word in enumerate(words)
            ]
            await taken[-1].wait()
            # The engine may be busy after the answer.
            for _ in range(self._rng.randint(0, self._sample_cycles // 2)):
                await FallingEdge(self._dut.clk)
            self._closed.popleft()
            self._gate()

    async def _memory(self) -> None:
        while True:
            command = await self._sinks["memory_command"].receive()
            assert self.idle, "a row was requested while the core was busy"
            self._rows = 1
            self._sinks["memory_command"].stall = 1.0
            space, row = Space(command["space"]), command["address"]
            if command["write"]:
                words = await self._sinks["memory_w"].receive_all(self.core.limits.lanes)
                for _ in range(self._rng.randint(0, 5)):
                    await FallingEdge(self._dut.clk)
                self.core.write_row(space, row, np.array(words, np.uint16))
            else:
                for _ in range(self._rng.randint(0, 5)):
                    await FallingEdge(self._dut.clk)
                await self._memory_r.send_all(int(word) for word in self.core.read_row(space, row))
            self._rows = 0
            self._sinks["memory_command"].stall = self._stall
