"""Testbench of the core: compares its complete state with the golden model after every run."""

from random import Random
from typing import Any

import cocotb
import numpy as np
from cocotb.triggers import FallingEdge, RisingEdge

from opzo.hw.interface import EVENT, MEMORY_COMMAND, RESULT, RUN
from opzo.hw.timing import REGISTER_CYCLES
from opzo.sim.benches import bench
from opzo.sim.benches.compare import assert_equal
from opzo.sim.benches.core_state import CoreState
from opzo.sim.benches.sequences import GivenUp, Rows, Run, Sequence, Settings, Step
from opzo.sim.benches.stimuli import draw_chunk, draw_flags
from opzo.sim.benches.streams import StreamSink, StreamSource
from opzo.sim.golden.core import GoldenCore
from opzo.spec.commands import RunFlag
from opzo.spec.events import Chunk
from opzo.spec.formats import GRADIENT
from opzo.spec.layout import Layer
from opzo.spec.lfsr import lane_states
from opzo.spec.limits import Limits
from opzo.spec.memories import Space
from opzo.spec.network import Network
from opzo.spec.registers import (
    COUNTER,
    REGISTERS,
    TIMING_COUNTERS,
    Counter,
    LayerReg,
    Reg,
    layer_register,
    network_registers,
)
from opzo.spec.rules import Input, Rule

CHANGING = (LayerReg.FEEDBACK_SHIFT, LayerReg.MAGNITUDE)
"""Registers of a layer that the device rewrites."""
RESETS = 8
"""Number of cases with a reset of the core during the first sample."""


def event_stream(chunk: Chunk, rng: Random) -> list[dict[str, int]]:
    """Items of the core's stream ``event``; ends of steps are sent one by one or several at once."""
    items: list[dict[str, int]] = []
    begin = 0
    values = list(zip(chunk.addresses.tolist(), chunk.values.tolist(), strict=True))
    for end in chunk.ends.tolist():
        items += [{"address": address, "value": value, "ends": 0} for address, value in values[begin:end]]
        if items and items[-1]["ends"] and rng.random() < 0.5:
            items[-1]["ends"] += 1
        else:
            items.append({"address": 0, "value": 0, "ends": 1})
        begin = end
    return items + [{"address": address, "value": value, "ends": 0} for address, value in values[begin:]]


def end_of(layer: Layer) -> int:
    """Row after the last one of a layer."""
    return layer.weight_base + layer.words * layer.rows


def run_request(flags: RunFlag, label: int, tag: int) -> dict[str, int]:
    """Item of the core's stream ``run``."""
    names = {"train": RunFlag.TRAIN, "outputs": RunFlag.OUTPUTS, "fresh": RunFlag.FRESH, "decision": RunFlag.DECISION}
    return {name: int(bool(flags & flag)) for name, flag in names.items()} | {"label": label, "tag": tag}


class CoreBench:
    """A simulated core and its golden twin, driven with the same input."""

    def __init__(self, dut: Any, limits: Limits, rng: Random, stall: float) -> None:
        self.dut, self.limits, self.rng = dut, limits, rng
        self.golden = GoldenCore(limits)
        self.state = CoreState(dut, limits)
        self.events = StreamSource(dut, dut.clk, "link__event", rng, stall, shape=EVENT)
        self.runs = StreamSource(dut, dut.clk, "link__run", rng, stall, shape=RUN)
        self.results = StreamSink(dut, dut.clk, "link__result", rng, stall, shape=RESULT)
        self.commands = StreamSource(dut, dut.clk, "link__memory_command", rng, stall, shape=MEMORY_COMMAND)
        self.words_in = StreamSource(dut, dut.clk, "link__memory_w", rng, stall)
        self.words_out = StreamSink(dut, dut.clk, "link__memory_r", rng, stall)
        for name in ("register_addr", "register_w_data", "register_w_en", "discard"):
            getattr(dut, f"link__{name}").value = 0

    async def write_register(self, address: int, value: int) -> None:
        """Write a register of both models."""
        dut = self.dut
        self.golden.write_register(address, value)
        dut.link__register_addr.value, dut.link__register_w_data.value = address, value
        dut.link__register_w_en.value = 1
        await FallingEdge(dut.clk)
        dut.link__register_w_en.value = 0

    async def read_register(self, address: int) -> int:
        """Read a register of the gateware."""
        self.dut.link__register_addr.value = address
        for _ in range(1 + REGISTER_CYCLES):
            await FallingEdge(self.dut.clk)
        return int(self.dut.link__register_r_data.value)

    async def write_row(self, space: Space, row: int, values: np.ndarray) -> None:
        """Write a memory row of both models, in the gateware through the memory port."""
        self.golden.write_row(space, row, values)
        await self.commands.send({"space": space, "address": row, "write": 1})
        await self.words_in.send_all(int(value) for value in values)
        await self.idle()

    async def read_row(self, space: Space, row: int) -> list[int]:
        """Read a memory row of the gateware through the memory port."""
        self.commands.put({"space": space, "address": row, "write": 0})
        return await self.words_out.receive_all(self.limits.lanes)

    async def idle(self) -> None:
        """Wait until the core is idle."""
        await FallingEdge(self.dut.clk)
        await FallingEdge(self.dut.clk)
        while not self.dut.link__idle.value:
            await RisingEdge(self.dut.link__idle)
            await FallingEdge(self.dut.clk)

    async def configure(self, network: Network, rule: Rule, settings: dict[str, int]) -> None:
        """Set registers, random weights, LFSRs and, for DFA, feedback entries of both models."""
        rng = np.random.default_rng(self.rng.getrandbits(32))
        for address, value in network_registers(network, self.limits, rule).items():
            await self.write_register(address, value)
        for name, value in settings.items():
            await self.write_register(Reg[name], value)
        for slot in range(self.limits.layers):
            await self.write_register(layer_register(slot, LayerReg.FEEDBACK_SHIFT), 0)
        golden = self.golden
        golden.memory[...] = 0
        # Row entries as stored in the memory.
        low, bits = self.limits.low_bits, self.limits.weight_bits
        top = (1 << (bits + low - 1)) - 1
        for layer in golden.layers():
            weights = golden.weights(layer)
            scale = rng.choice([1500, 4000, 30000], p=[0.5, 0.4, 0.1])
            scale = min(scale, top)
            weights[...] = rng.integers(-scale, scale + 1, weights.shape) >> low << low
            matrices = [golden.feedback(layer)] if rule.feedback and layer is not golden.layers()[-1] else []
            matrices += [golden.local(layer)] if layer.local else []
            for entries in [*matrices, *([golden.intermediate(layer)] if layer.intermediate else [])]:
                largest = 1 << int(rng.integers(4, bits + low))
                entries[...] = rng.integers(-largest, largest, entries.shape) >> low << low
            unused = np.arange(layer.words * self.limits.lanes).reshape(layer.words, 1, -1) >= layer.neurons
            weights[np.broadcast_to(unused, weights.shape)] = 0
        self.used = max(end_of(layer) for layer in golden.layers())
        self.state.write_rows(golden.memory[: self.used])
        if self.limits.gradients:
            golden.gradients[...] = 0
            for layer in (layer for layer in golden.layers() if layer.convolution):
                gradients, largest = golden.layer_gradients(layer), 1 << int(rng.integers(1, GRADIENT.width))
                gradients[...] = rng.integers(-largest, largest, gradients.shape)
                unused = np.arange(layer.words * self.limits.lanes).reshape(layer.words, 1, -1) >= layer.neurons
                gradients[np.broadcast_to(unused, gradients.shape)] = 0
            self.state.write_gradients(golden.gradients)
        states = lane_states(self.rng.getrandbits(32), self.limits.lanes)
        for row in range(2):
            await self.write_row(Space.LFSR, row, ((states >> np.uint32(16 * row)) & 0xFFFF).astype(np.uint16))

    async def run(self, chunk: Chunk, label: int, flags: RunFlag, what: str) -> None:
        """Run a frame or a chunk on both models; compare the results."""
        tag = self.rng.randrange(4)
        outputs = bool(flags & RunFlag.OUTPUTS)
        await self.events.send_all(event_stream(chunk, self.rng))
        self.runs.put(run_request(flags, label, tag))
        expected = self.golden.run(chunk, label, flags)
        words = [await self.results.receive() for _ in range(2 + outputs * self.golden[Reg.CLASSES])]
        data = [word["data"] - (word["data"] >> 31 << 32) for word in words]
        where = f"{what}: "
        assert all(word["tag"] == tag for word in words), f"{where}tags"
        assert [word["first"] for word in words] == [1] + [0] * (len(words) - 1), f"{where}first"
        assert [word["last"] for word in words] == [0] * (len(words) - 1) + [1], f"{where}last"
        assert_equal(data[:2], [expected.prediction, expected.loss], what=f"{where}answer", seed=bench.seed())
        assert_equal(data[2:], expected.outputs if outputs else (), what=f"{where}readouts", seed=bench.seed())

    async def forget(self) -> None:
        """Replace the golden twin after a reset, with the contents that the gateware's memories keep."""
        golden, state = GoldenCore(self.limits), self.state
        golden.memory[...] = state.rows(self.limits.rows)
        golden.membrane[...] = state.membranes(self.limits.words)
        golden.negative[...] = state.negatives(self.limits.words)
        if self.limits.gradients:
            golden.gradients[...] = state.gradients()
        golden.lfsrs = golden.lfsr_type(state.lfsrs())
        self.golden = golden
        await self.write_register(Reg.CLEAR_COUNTERS, 0)

    async def reset(self, most: int) -> None:
        """Reset the core in one of the next ``most`` cycles."""
        for _ in range(self.rng.randrange(most)):
            await FallingEdge(self.dut.clk)
        self.dut.rst.value = 1
        await FallingEdge(self.dut.clk)
        self.dut.rst.value = 0
        self.results.clear()
        await self.forget()

    async def discard(self) -> None:
        """Discard the input sent so far."""
        self.dut.link__discard.value = 1
        await FallingEdge(self.dut.clk)
        self.dut.link__discard.value = 0

    async def do(self, step: Step, what: str) -> None:
        """Execute a step of a sequence on both models and compare the complete state."""
        if isinstance(step, Settings):
            await self.idle()
            for address in sorted(step.values):
                await self.write_register(address, step.values[address])
        elif isinstance(step, Rows):
            if step.space == Space.WEIGHTS:
                for row, values in enumerate(step.data, step.first):
                    self.golden.write_row(step.space, row, values)
                rows = self.golden.memory[step.first : step.first + len(step.data)]
                self.state.write_rows(rows, step.first)
            else:
                for row, values in enumerate(step.data, step.first):
                    await self.write_row(step.space, row, values)
        elif isinstance(step, Run):
            await self.run(step.chunk, step.label, step.flags, what)
            await self.compare(what)

    async def compare(self, what: str, *, everything: bool = False) -> None:
        """Compare the state used by the network, or with ``everything`` all memories."""
        golden, state, seed = self.golden, self.state, bench.seed()
        hidden = golden.layers()[:-1]
        words = self.limits.words if everything else sum(layer.all_words for layer in hidden)
        used = self.limits.rows if everything else max(end_of(layer) for layer in golden.layers())
        for name, actual, space in (
            ("traces", state.traces(words), Space.HISTORY),
            ("input traces", state.input_traces(), Space.INPUT_HISTORY),
        ):
            expected = [golden.read_row(space, row) for row in range(len(actual))]
            assert_equal(actual, expected, what=f"{name} {what}", seed=seed)
        assert_equal(state.rows(used), golden.memory[:used], what=f"rows {what}", seed=seed)
        assert_equal(state.lfsrs(), golden.lfsrs.states, what=f"LFSRs {what}", seed=seed)
        assert_equal(state.membranes(words), golden.membrane[:words], what=f"membranes {what}", seed=seed)
        assert_equal(state.negatives(words), golden.negative[:words], what=f"signs {what}", seed=seed)
        if self.limits.gradients:
            assert_equal(state.gradients(), golden.gradients, what=f"gradients {what}", seed=seed)
        for address in (
            *(layer_register(slot, field) for slot in range(len(hidden)) for field in CHANGING),
            *(Reg.SAMPLES, Reg.PENDING),
        ):
            value, found = golden.registers.get(address, 0), await self.read_register(address)
            assert found == value, f"{REGISTERS[address].name} is {found}, expected {value} {what}"

    async def compare_counters(self, what: str) -> None:
        """Compare the statistics counters, except those of cycles."""
        await self.idle()
        for counter in Counter:
            if counter not in TIMING_COUNTERS:
                count = await self.read_register(COUNTER + 2 * counter)
                count |= await self.read_register(COUNTER + 2 * counter + 1) << 32
                expected = self.golden.counters[counter]
                assert count == expected, f"counter {counter.name} {what}: {count}, expected {expected}"


async def run_case(core: CoreBench, case: dict[str, Any]) -> None:
    """Do runs with and without learning and compare the state after each."""
    network = case_network(case)
    stimuli = np.random.default_rng(core.rng.getrandbits(32))
    name = f"{network!r}, {case['rule']}, "
    name += str(case["settings"])
    await core.configure(network, Rule.parse(case["rule"]), case["settings"])
    await core.write_register(Reg.CLEAR_COUNTERS, 0)
    for number in range(case["samples"]):
        what = f"after run {number} of {name}"
        flags = draw_flags(stimuli) | (RunFlag.OUTPUTS if stimuli.random() < 0.3 else RunFlag(0))
        chunk = draw_chunk(stimuli, network, core.limits.events, core.limits.steps)
        what += f", {len(chunk.ends)} steps, {flags!s}"
        await core.run(chunk, core.rng.randrange(network.classes), flags, what)
        await core.compare(what)
    await core.compare_counters(f"after {name}")
    for row in (0, core.used // 2, core.used - 1):
        expected = core.golden.memory[row] & 0xFFFF
        assert_equal(await core.read_row(Space.WEIGHTS, row), expected, what=f"row {row} through the port, {name}")
    limits = core.limits
    for space, row in (
        (Space.LFSR, 0),
        (Space.MEMBRANE, 2 * limits.words - 1),
        (Space.HISTORY, limits.words - 1),
        (Space.INPUT_HISTORY, limits.input_words - 1),
        *((Space.GRADIENTS, row) for row in range(min(4, 2 * limits.gradients))),
    ):
        expected = core.golden.read_row(space, row)
        assert_equal(await core.read_row(space, row), expected, what=f"{space.name} {row} through the port, {name}")


def case_network(case: dict[str, Any]) -> Network:
    """Network of a case."""
    others = {name: case[name] for name in ("leak", "reset", "block", "intermediate") if name in case}
    sizes = case["sizes"] if isinstance(case["sizes"], str) else tuple(case["sizes"])
    return Network(sizes, case["steps"], case["local"], Input[case["input"]], **others)


def core_bench(dut: Any) -> CoreBench:
    """Core and golden twin with the limits and stalls in the bench's parameters."""
    parameters = bench.parameters()
    return CoreBench(dut, Limits(**parameters["limits"]), Random(bench.seed()), parameters["stall"])


@cocotb.test()
async def matches_golden(dut: Any) -> None:
    """Run all cases in the parameters."""
    core = core_bench(dut)
    await bench.start(dut)
    for case in bench.parameters()["cases"]:
        await run_case(core, case)


@cocotb.test()
async def starts_again_after_a_reset_in_the_middle(dut: Any) -> None:
    """Reset at a random cycle of a run, then run a case as after power-up."""
    core = core_bench(dut)
    await bench.start(dut)
    for case in bench.parameters()["cases"][:RESETS]:
        network = case_network(case)
        stimuli = np.random.default_rng(core.rng.getrandbits(32))
        await core.configure(network, Rule.parse(case["rule"]), case["settings"])
        await core.events.send_all(
            event_stream(draw_chunk(stimuli, network, core.limits.events, core.limits.steps), core.rng)
        )
        await core.runs.send(run_request(RunFlag.TRAIN | RunFlag.OUTPUTS, 0, 0))
        await core.reset(400)
        await run_case(core, case | {"samples": 3})


@cocotb.test()
async def is_busy_until_a_register_has_taken_effect(dut: Any) -> None:
    """``idle`` stays low from the write of a register until the operation that it starts has ended."""
    core = core_bench(dut)
    await bench.start(dut)
    limits = core.limits
    entries = max(limits.words * limits.lanes, limits.events)
    for address, least in ((Reg.HIDDEN_LAYERS, entries), (Reg.CLEAR_COUNTERS, len(Counter)), (Reg.ALPHA, 3)):
        await core.idle()
        await core.write_register(address, 1)
        cycles = 0
        while not dut.link__idle.value:
            await FallingEdge(dut.clk)
            cycles += 1
        assert cycles >= least, f"idle {cycles} cycles after {address.name} was written"
        for _ in range(20):
            await FallingEdge(dut.clk)
            assert dut.link__idle.value == 1, f"idle for a moment after {address.name} was written"


@cocotb.test()
async def counts_dropped_events(dut: Any) -> None:
    """Events that exceed the limit of a run are counted."""
    core = core_bench(dut)
    await bench.start(dut)
    await core.idle()
    await core.write_register(Reg.CLEAR_COUNTERS, 0)
    await core.events.send_all([{"address": 0, "value": 1, "ends": 0}] * (core.limits.events + 3))
    await core.discard()
    core.golden.counters.add(Counter.DROPPED, 3)
    await core.compare_counters("after too many events")


@cocotb.test()
async def agrees_whatever_came_before(dut: Any) -> None:
    """Sequences of networks on one core, with abandoned input and resets in the middle of runs."""
    networks = bench.parameters().get("networks", 0)
    core = core_bench(dut)
    await bench.start(dut)
    await core.idle()
    # The counts of the test before outlast the reset.
    await core.write_register(Reg.CLEAR_COUNTERS, 0)
    sequence = Sequence(bench.seed(), core.limits)
    skipped = 0
    for number, step in enumerate(sequence):
        if sequence.networks > networks:
            break
        if sequence.networks == skipped:
            continue
        what = f"after step {number} of network {sequence.networks}, {sequence.network}: {step}"
        if not isinstance(step, GivenUp):
            await core.do(step, what)
            continue
        await core.compare(f"before {what}", everything=True)
        await core.compare_counters(f"before {what}")
        run = sequence.run()
        await core.events.send_all(event_stream(run.chunk, core.rng)[: core.rng.randrange(50)])
        if core.rng.random() < 0.5:
            await core.discard()
            continue
        await core.discard()
        await core.events.send_all(event_stream(run.chunk, core.rng))
        await core.runs.send(run_request(run.flags, run.label, 0))
        await core.reset(core.rng.choice((40, 400, 2000)))
        # No network is configured any more.
        skipped = sequence.networks
