"""Testbench of the memory port, with a model of the lanes and traces that it accesses."""

from random import Random
from typing import Any

import cocotb
import numpy as np
from cocotb.triggers import Event, FallingEdge, ReadOnly, with_timeout

from opzo.hw.input.traces import ENTRY
from opzo.hw.interface import MEMORY_COMMAND
from opzo.hw.lanes.lane_command import lane_command, shift_chain_fields
from opzo.hw.timing import ACCUMULATED, GRADIENT, RESULT, ROW, STAGES
from opzo.sim.benches import bench
from opzo.sim.benches.compare import assert_equal
from opzo.sim.benches.streams import TIMEOUT_US, StreamSink, StreamSource, pack, unpack
from opzo.sim.golden.core import GoldenCore
from opzo.sim.golden.lfsr import LaneLFSRs
from opzo.spec.formats import HISTORY_STEPS, LFSR_BITS, MEMBRANE, SPIKE_INPUT, WEIGHT
from opzo.spec.limits import Limits
from opzo.spec.memories import Space

WRITABLE = tuple(space for space in Space if space.writable)


class ChainModel:
    """The state of a core, accessed through a chain with the timing of the lanes: a pipeline of commands; the shift is
    two cycles late, the data shifted in one cycle.
    """

    def __init__(self, dut: Any, core: GoldenCore) -> None:
        self._dut, self._core = dut, core
        self._layout = lane_command(core.limits)
        self._fields = shift_chain_fields(core.limits)
        self._stages: list[dict[str, int]] = [self._unpack(0)] * STAGES
        self._chain = [0] * core.limits.lanes
        self._shifts, self._chain_in = [False, False], 0
        self._size = core.limits.lanes_per_group
        self._potentials: list[np.ndarray | None] = []
        """Membrane potentials that enter the chain at the end of each group, by clock edges from now; None: none."""
        self.stored = 0
        """Number of rows written."""
        self._traces = [
            (dut.neuron_trace, core.trace.reshape(-1), core.history.reshape(-1)),
            (dut.input_trace, core.input_trace.reshape(-1), core.input_history.reshape(-1)),
        ]
        cocotb.start_soon(self._run())

    async def _run(self) -> None:
        dut = self._dut
        while True:
            await ReadOnly()
            command = self._unpack(int(dut.lane_command.value))
            assert sum(command[name] for name in self._fields) <= int(dut.rows__busy.value)
            # A word beyond the last is requested only if the result is ignored.
            index = int(dut.trace_index.value)
            answers = [
                (
                    port,
                    pack(
                        ENTRY, {"history": int(history[index % len(history)]), "trace": int(trace[index % len(trace)])}
                    ),
                )
                for port, trace, history in self._traces
            ]
            self._step(self._chain_in)
            self._stages = [self._unpack(0)] * STAGES if dut.rst.value else [command, *self._stages[:-1]]
            self._shifts = [self._shifts[1], bool(dut.shift.value)]
            self._chain_in = int(dut.chain_in.value)
            await FallingEdge(dut.clk)
            dut.chain.value = self._chain[0] & ((1 << MEMBRANE.width) - 1)
            for port, entry in answers:
                port.value = entry

    def _step(self, chain_in: int) -> None:
        """Do one clock edge in the lanes."""
        core, chain = self._core, self._chain
        row, summed, result = (self._stages[stage] for stage in (ROW, ACCUMULATED, RESULT))
        if result["store_row"]:
            core.write_row(Space.WEIGHTS, result["address"], self._words())
        for half, name in enumerate(("store_low", "store_high")):
            if row[name]:
                core.write_row(Space.LFSR, half, self._words())
        if core.limits.gradients:
            self._step_gradients(self._stages[GRADIENT])
        self.stored += any(result[name] for name in self._fields if name.startswith("store"))
        if self._shifts[0]:
            self._chain = [*chain[1:], chain_in]
        potentials = self._potentials.pop(0) if self._potentials else None
        if potentials is not None:
            groups = np.array(chain).reshape(-1, self._size)
            self._chain = np.concatenate([groups[:, 1:], potentials[:, None]], axis=1).reshape(-1).tolist()
        if summed["load_membrane"]:
            self._potentials = [None, *core.membrane[summed["word"]].reshape(-1, self._size).T]
        if summed["load_row"]:
            # The row itself, read as the sum for one spike.
            assert (summed["integrate"], summed["first"], summed["operand"]) == (1, 1, SPIKE_INPUT)
            self._chain = core.read_row(Space.WEIGHTS, summed["address"]).tolist()
        for half, name in enumerate(("load_low", "load_high")):
            if row[name]:
                self._chain = core.read_row(Space.LFSR, half).tolist()

    def _step_gradients(self, command: dict[str, int]) -> None:
        """The same for gradients."""
        for half, name in enumerate(("low", "high")):
            row = 2 * command["gradient_address"] + half
            if command[f"store_gradient_{name}"]:
                self._core.write_row(Space.GRADIENTS, row, self._words())
            if command[f"load_gradient_{name}"]:
                self._chain = self._core.read_row(Space.GRADIENTS, row).tolist()

    def _words(self) -> np.ndarray:
        return np.array(self._chain, np.int64).astype(np.uint16)

    def _unpack(self, bits: int) -> dict[str, int]:
        command: dict[str, int] = unpack(self._layout, bits)
        return command


class Driver:
    """Transfer rows through the port; one golden core contains the expected state, another that of the lane model."""

    def __init__(self, dut: Any, rng: Random) -> None:
        self.dut, self.rng = dut, rng
        self.limits = limits = Limits(**bench.parameters()["limits"])
        self.golden, self.lanes = GoldenCore(limits), GoldenCore(limits)
        arrays = np.random.default_rng(bench.seed())
        shape = (limits.words, limits.lanes)
        memory = arrays.integers(WEIGHT.min, WEIGHT.max + 1, (limits.rows, limits.lanes))
        states = arrays.integers(0, 1 << LFSR_BITS, limits.lanes).astype(np.uint32)
        membrane = arrays.integers(MEMBRANE.min, MEMBRANE.max + 1, shape)
        membrane[:, :4] = [MEMBRANE.min, MEMBRANE.max, -1, 0]
        past = arrays.integers(0, 1 << HISTORY_STEPS, (2, *shape))
        input_past = arrays.integers(0, 1 << HISTORY_STEPS, (2, *self.golden.input_trace.shape))
        gradients = arrays.integers(-(1 << 31), 1 << 31, self.golden.gradients.shape)
        for core in (self.golden, self.lanes):
            core.gradients[...] = gradients
            core.memory[...], core.membrane[...] = memory, membrane
            core.trace[...], core.history[...] = past
            core.input_trace[...], core.input_history[...] = input_past
            core.lfsrs = LaneLFSRs(states)
        self.model = ChainModel(dut, self.lanes)
        self.commands = StreamSource(dut, dut.clk, "rows__command", rng, shape=MEMORY_COMMAND)
        self.write_words = StreamSource(dut, dut.clk, "rows__write", rng)
        self.read_words = StreamSink(dut, dut.clk, "rows__read", rng)
        dut.rows__enable.value = 1

    @property
    def spaces(self) -> list[Space]:
        """Spaces that the device has."""
        return [space for space in Space if self.rows(space)]

    def rows(self, space: Space) -> int:
        """Number of rows in a space."""
        return space.rows(self.limits)

    def command(self, space: Space, row: int, write: int) -> Event:
        """Queue a command."""
        return self.commands.put({"space": int(space), "address": row, "write": write})

    async def read(self, space: Space, row: int) -> None:
        """Read a row and compare it."""
        self.command(space, row, 0)
        words = await self.read_words.receive_all(self.limits.lanes)
        assert_equal(words, self.golden.read_row(space, row), what=f"row {row} of {space.name}", seed=bench.seed())

    async def write(self, space: Space, row: int) -> None:
        """Write random words to a row; return once all have been taken."""
        ends = (0, 1, 0x7FFF, 0x8000, 0xFFFF)
        words = [self.rng.choice((*ends, self.rng.getrandbits(16))) for _ in range(self.limits.lanes)]
        self.golden.write_row(space, row, np.array(words, np.uint16))
        self.command(space, row, 1)
        await self.write_words.send_all(words)

    async def idle(self) -> None:
        """Wait until the port is idle; all data must be in the memories by then."""
        await FallingEdge(self.dut.clk)
        cycles = 0
        while self.dut.rows__busy.value:
            cycles += 1
            assert cycles < 4 * STAGES + 4 * self.limits.lanes
            await FallingEdge(self.dut.clk)

    def compare(self) -> None:
        """Compare all writable memories."""
        seed = bench.seed()
        assert_equal(self.lanes.memory, self.golden.memory, what="rows", seed=seed)
        assert_equal(self.lanes.gradients, self.golden.gradients, what="gradients", seed=seed)
        assert_equal(self.lanes.lfsrs.states, self.golden.lfsrs.states, what="LFSRs", seed=seed)


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def reads_every_row_of_every_space(dut: Any) -> None:
    driver = Driver(dut, Random(bench.seed()))
    await bench.start(dut)
    for space in Space:
        for row in range(driver.rows(space)) if space != Space.WEIGHTS else (0, 1, 2, driver.limits.rows - 1):
            await driver.read(space, row)
    assert driver.model.stored == 0


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def writes_and_reads_rows_under_stalls(dut: Any) -> None:
    rng = Random(bench.seed())
    driver = Driver(dut, rng)
    await bench.start(dut)
    writes = 0
    for _ in range(250):
        for endpoint in (driver.commands, driver.write_words, driver.read_words):
            endpoint.stall = rng.choice((0, 0.5))
        space = rng.choice(driver.spaces)
        row = rng.randrange(driver.rows(space))
        if space in WRITABLE and rng.random() < 0.6:
            await driver.write(space, row)
            writes += 1
            if rng.random() < 0.5:
                # Read the written row immediately.
                await driver.read(space, row)
            else:
                await driver.idle()
                driver.compare()
                assert driver.model.stored == writes
        else:
            await driver.read(space, row)
    await driver.idle()
    driver.compare()
    assert driver.model.stored == writes


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def begins_only_when_enabled(dut: Any) -> None:
    rng = Random(bench.seed())
    driver = Driver(dut, rng)
    await bench.start(dut)
    for _ in range(20):
        dut.rows__enable.value = 0
        space = rng.choice(driver.spaces)
        row = rng.randrange(driver.rows(space))
        taken = driver.command(space, row, 0)
        for _ in range(rng.randint(2, 30)):
            await FallingEdge(dut.clk)
            assert not taken.is_set()
            assert dut.rows__busy.value == 0
        dut.rows__enable.value = 1
        await with_timeout(taken.wait(), TIMEOUT_US, "us")
        # A row in progress is completed; the next one must wait.
        dut.rows__enable.value = 0
        assert dut.rows__busy.value == 1
        waiting = driver.command(Space.LFSR, 0, 0)
        words = await driver.read_words.receive_all(driver.limits.lanes)
        assert_equal(words, driver.golden.read_row(space, row), what=f"row {row} of {space.name}", seed=bench.seed())
        assert not waiting.is_set()
        dut.rows__enable.value = 1
        words = await driver.read_words.receive_all(driver.limits.lanes)
        assert_equal(words, driver.golden.read_row(Space.LFSR, 0), what="LFSRs", seed=bench.seed())
        await driver.idle()


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def reset_ends_the_row(dut: Any) -> None:
    rng = Random(bench.seed())
    driver = Driver(dut, rng)
    await bench.start(dut)
    for write in (0, 1):
        for words in range(driver.limits.lanes):
            driver.command(Space.WEIGHTS, 3, write)
            if write:
                # One word is missing, so the row is not stored.
                await driver.write_words.send_all([rng.getrandbits(16) for _ in range(words)])
            else:
                await driver.read_words.receive_all(words)
            for _ in range(rng.randint(2, STAGES)):
                await FallingEdge(dut.clk)
            dut.rst.value = 1
            await FallingEdge(dut.clk)
            dut.rst.value = 0
            await driver.read_words.receive_all(len(driver.read_words))
            await FallingEdge(dut.clk)
            assert dut.rows__busy.value == 0
            await driver.write(Space.WEIGHTS, 4)
            await driver.read(Space.WEIGHTS, 4)
            await driver.read(Space.WEIGHTS, 3)
