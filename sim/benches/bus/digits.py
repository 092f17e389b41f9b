"""Testbench: the chip learns handwritten digits through a bus, and ends in the state of the golden core."""

import logging
from random import Random
from typing import Any

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge, RisingEdge

from opzo.sim.benches import bench
from opzo.sim.benches.bus.masters import Axi, Wishbone
from opzo.sim.benches.compare import assert_equal
from opzo.sim.benches.core_port import CorePort
from opzo.sim.golden.core import GoldenCore
from opzo.spec.bus import RESULT_FIELDS, ROW, TAG_BITS, Interrupt, StatusBit, address_of, event_words, run_word
from opzo.spec.commands import RunFlag, Status
from opzo.spec.events import Chunk
from opzo.spec.lfsr import lane_states
from opzo.spec.limits import Limits
from opzo.spec.memories import Space
from opzo.spec.network import Network
from opzo.spec.registers import COUNTER, REGISTERS, TIMING_COUNTERS, Reg, network_registers
from opzo.spec.rules import Rule

SETTINGS: dict[int, int] = {
    Reg.ALPHA: 819,
    Reg.RATE: 84,
    Reg.ACTIVITY: 21,
    Reg.DECAY_SHIFT: 6,
    Reg.LEAK_SHIFT: 4,
    Reg.MSE_SHIFT: 7,
}
LARGEST_WEIGHT = 1500
AHEAD = 3
"""Samples that are sent before the result of the first of them is taken."""
CLOCKS = {"axi": ("aclk", "aresetn", False), "wishbone": ("wb_clk_i", "wb_rst_i", True)}
"""Clock and reset of a complete chip, and the level at which the reset is active."""
PERIOD_NS = 10


class Chip:
    """A chip behind a bus, driven as a driver would, and a golden core."""

    def __init__(self, master: Any, limits: Limits, rng: Random) -> None:
        self.master, self.limits = master, limits
        self.rng = np.random.default_rng(rng.getrandbits(32))
        self.golden = GoldenCore(limits)

    async def write(self, address: int, value: int) -> None:
        """Write a word, which must be done."""
        assert await self.master.write(address, value), f"writing 0x{address:03x} is an error"

    async def write_row(self, space: Space, row: int, values: np.ndarray) -> None:
        """Write a row, uint16 (lanes,), of both."""
        self.golden.write_row(space, row, values)
        for word, pair in enumerate(values.astype("<u2").tobytes()[n : n + 4] for n in range(0, 2 * len(values), 4)):
            await self.write(ROW + 4 * word, int.from_bytes(pair, "little"))
        await self.write(address_of("MEMORY_WRITE"), row)

    async def read_row(self, space: Space, row: int) -> np.ndarray:
        """Row of the chip: uint16 (lanes,); the space must be selected."""
        await self.write(address_of("MEMORY_READ"), row)
        words = [await self.master.read(ROW + 4 * word) for word in range(self.limits.lanes // 2)]
        return np.array(words, "<u4").view("<u2")

    async def configure(self, network: Network, rule: Rule) -> None:
        """Write registers, random weights, and the states of the generators."""
        for address, value in (network_registers(network, self.limits, rule) | SETTINGS).items():
            self.golden.write_register(address, value)
            await self.write(4 * address, value)
        weights = np.zeros((self.limits.rows, self.limits.lanes), np.int64)
        for layer in self.golden.layers():
            rows = slice(layer.weight_base, layer.weight_base + layer.words * layer.rows)
            block = weights[rows].reshape(layer.words, layer.rows, -1)
            used = np.arange(layer.words * self.limits.lanes).reshape(layer.words, 1, -1) < layer.neurons
            block[...] = np.where(used, self.rng.integers(-LARGEST_WEIGHT, LARGEST_WEIGHT, block.shape), 0)
        await self.write(address_of("MEMORY_SPACE"), Space.WEIGHTS)
        for row, values in enumerate(weights):
            await self.write_row(Space.WEIGHTS, row, values.astype(np.uint16))
        states = lane_states(int(self.rng.integers(1, 1 << 32)), self.limits.lanes)
        await self.write(address_of("MEMORY_SPACE"), Space.LFSR)
        for row in range(2):
            await self.write_row(Space.LFSR, row, (states >> np.uint32(16 * row)).astype(np.uint16))
        self.golden.write_register(Reg.CLEAR_COUNTERS, 0)
        await self.write(4 * Reg.CLEAR_COUNTERS, 0)

    async def learn(self, frames: list[list[int]], labels: list[int]) -> None:
        """Send samples, some ahead, and compare each result."""
        expected: list[list[int]] = []
        for number, (frame, label) in enumerate(zip(frames, labels, strict=True)):
            pixels = np.array(frame)
            chunk = Chunk(np.flatnonzero(pixels), pixels[pixels != 0])
            flags = RunFlag.TRAIN | (RunFlag.OUTPUTS if number % 3 == 0 else RunFlag(0))
            tag = number % (1 << TAG_BITS)
            await self.master.send([*event_words(chunk), run_word(flags, label, tag)])
            result = self.golden.run(chunk, label, flags)
            rest = [result.loss, *(result.outputs if flags & RunFlag.OUTPUTS else ())]
            head = {"PREDICTION": result.prediction, "STATUS": Status.OK, "TAG": tag, "MORE": len(rest)}
            expected.append([*(head[field.name] for field in RESULT_FIELDS), *rest])
            if len(expected) > AHEAD:
                await self._take(number - AHEAD, expected.pop(0))
        for late, answer in enumerate(expected):
            await self._take(len(frames) - len(expected) + late, answer)

    async def _take(self, number: int, expected: list[int]) -> None:
        head, *rest = await self.master.receive()
        found = [*(field.of(head) for field in RESULT_FIELDS), *(word - (word >> 31 << 32) for word in rest)]
        assert_equal(found, expected, what=f"result of sample {number}", seed=bench.seed())

    async def compare(self) -> None:
        """Compare all memories, registers and counters, except those of cycles."""
        while not (await self.master.read(address_of("STATUS"))) >> StatusBit.IDLE & 1:
            pass
        for space in Space:
            await self.write(address_of("MEMORY_SPACE"), space)
            for row in range(space.rows(self.limits)):
                expected = self.golden.read_row(space, row)
                assert_equal(await self.read_row(space, row), expected, what=f"{space.name} {row}", seed=bench.seed())
        cycles = {COUNTER + 2 * counter + high for counter in TIMING_COUNTERS for high in range(2)}
        for address in REGISTERS.keys() - cycles:
            found, value = await self.master.read(4 * address), self.golden.read_register(address)
            assert found == value, f"{REGISTERS[address].name} is {found}, golden {value}"


@cocotb.test(timeout_time=2000, timeout_unit="ms")
async def learns_digits(dut: Any) -> None:
    """Train on the frames in the parameters; every result and the complete state are golden."""
    logging.getLogger("cocotb").setLevel(logging.WARNING)
    values = bench.parameters()
    rng = Random(bench.seed())
    limits, stall = Limits(**values["limits"]), values["stall"]
    make = {"axi": Axi, "wishbone": Wishbone}[values["bus"]]
    if values["complete"]:
        names = CLOCKS[values["bus"]]
        clock, reset, active = getattr(dut, names[0]), getattr(dut, names[1]), names[2]
        reset.value = active
        Clock(clock, PERIOD_NS, unit="ns").start()
        master = make(dut, clock, reset, active, rng, stall)
        for _ in range(5):
            await FallingEdge(clock)
        reset.value = not active
    else:
        master = make(dut, dut.clk, dut.rst, True, rng, stall)
        CorePort(dut, GoldenCore(limits), Random(rng.random()), stall, 100)  # type: ignore[arg-type]
        clock = dut.clk
        await bench.start(dut)
    await RisingEdge(clock)
    chip = Chip(master, limits, rng)
    network = Network(values["network"], values["steps"])
    await chip.configure(network, Rule.OPZO)
    await chip.write(address_of("INTERRUPT_PENDING"), 0xF)
    await chip.write(address_of("INTERRUPT_ENABLE"), 1 << Interrupt.RESULT)
    interrupt = getattr(dut, "interrupt" if values["bus"] == "axi" else "interrupt_o")
    assert not interrupt.value
    await chip.learn(values["frames"], values["labels"])
    assert interrupt.value
    await chip.compare()
