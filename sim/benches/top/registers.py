"""Testbench of the register file."""

from random import Random
from typing import Any

import cocotb
from cocotb.triggers import FallingEdge

from opzo.hw.registers import CONFIG, fields_layout, shifts_layout
from opzo.hw.timing import REGISTER_CYCLES
from opzo.sim.benches import bench
from opzo.sim.benches.streams import pack, unpack
from opzo.sim.golden.core import GoldenCore
from opzo.spec.limits import Limits
from opzo.spec.registers import LayerReg, Reg, layer_register, layer_slots, stored_bits

ADDRESSES = 256
DATA_MASK = 0xFFFFFFFF


class Driver:
    """A register file and the registers of the golden model."""

    def __init__(self, dut: Any, rng: Random) -> None:
        self.dut, self.rng = dut, rng
        self.limits = Limits(**bench.parameters()["limits"])
        self.golden = GoldenCore(self.limits)
        strobes = ("sample_done", "feedback_shifts__valid", "magnitude__valid")
        for name in ("address", "write_data", "write_en", *strobes):
            getattr(dut, name).value = 0

    async def write(self, address: int, value: int) -> None:
        """Write to both; the register's strobe, and no other, follows two cycles later."""
        dut = self.dut
        dut.address.value, dut.write_data.value, dut.write_en.value = address, value, 1
        await FallingEdge(dut.clk)
        dut.write_en.value, dut.write_data.value = 0, self.rng.getrandbits(32)
        self.golden.write_register(address, value)
        await FallingEdge(dut.clk)
        assert dut.clear_counters.value == (address == Reg.CLEAR_COUNTERS)
        assert dut.clear_traces.value == (address == Reg.HIDDEN_LAYERS)
        # At an address without a register, a strobe does no harm.
        assert dut.written.value == 1 or address not in self.golden.registers
        await FallingEdge(dut.clk)
        assert dut.written.value == 0
        assert dut.clear_counters.value == 0
        assert dut.clear_traces.value == 0

    async def check(self) -> None:
        """Compare all addresses, read at one per cycle, and the register values at the engine's ports."""
        dut, registers = self.dut, self.golden.registers
        order = list(range(ADDRESSES))
        self.rng.shuffle(order)
        for number in range(ADDRESSES + REGISTER_CYCLES - 1):
            dut.address.value = order[number % ADDRESSES]
            await FallingEdge(dut.clk)
            if number >= REGISTER_CYCLES - 1:
                address = order[number - REGISTER_CYCLES + 1]
                value = registers.get(address, 0)
                assert int(dut.read_data.value) == value, f"seed {bench.seed()}: address {address:#x}"
        config = unpack(CONFIG, int(dut.config.value))
        # A register that the device lacks is 0.
        assert config == {register.name.lower(): registers.get(register, 0) for register in Reg if register.bits}
        layers = unpack(fields_layout(self.limits), int(dut.layers.value))
        for slot, layer in zip(layer_slots(self.limits), layers, strict=True):
            expected = {field.name.lower(): registers.get(layer_register(slot, field), 0) for field in LayerReg}
            assert layer == expected, f"slot {slot}"


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def keeps_what_was_written(dut: Any) -> None:
    rng = Random(bench.seed())
    driver = Driver(dut, rng)
    await bench.start(dut)
    await driver.check()
    for value in (DATA_MASK, 0, 0x55555555, 0xAAAAAAAA):
        # All addresses, including those without a register.
        for address in range(ADDRESSES):
            await driver.write(address, value)
        await driver.check()
    # Of any two addresses, each is once the later one: no write changes another register.
    order = list(range(ADDRESSES))
    rng.shuffle(order)
    for addresses in (order, order[::-1]):
        for address in addresses:
            await driver.write(address, rng.getrandbits(32))
        await driver.check()


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def writes_only_when_enabled(dut: Any) -> None:
    rng = Random(bench.seed())
    driver = Driver(dut, rng)
    await bench.start(dut)
    for address in range(ADDRESSES):
        dut.address.value, dut.write_data.value = address, DATA_MASK
        await FallingEdge(dut.clk)
        assert dut.clear_counters.value == 0
        assert dut.clear_traces.value == 0
        assert dut.written.value == 0
    await driver.check()


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def counts_samples(dut: Any) -> None:
    rng = Random(bench.seed())
    driver = Driver(dut, rng)
    await bench.start(dut)
    registers = driver.golden.registers
    for value in (0, 63, DATA_MASK - 1, rng.getrandbits(32)):
        await driver.write(Reg.SAMPLES, value)
        for _ in range(20):
            done = rng.getrandbits(1)
            dut.sample_done.value = done
            await FallingEdge(dut.clk)
            dut.sample_done.value = 0
            registers[int(Reg.SAMPLES)] = (registers[int(Reg.SAMPLES)] + done) & DATA_MASK
            assert unpack(CONFIG, int(dut.config.value))["samples"] == registers[int(Reg.SAMPLES)]
    await driver.check()


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def counts_the_runs_of_a_batch(dut: Any) -> None:
    rng = Random(bench.seed())
    driver = Driver(dut, rng)
    await bench.start(dut)
    registers = driver.golden.registers
    has_maps = driver.limits.gradients > 0
    for batch, kernel in ((0, 3), (1, 1), (2, 5), (7, 3), (255, 3), (5, 0), (rng.randrange(256), 3)):
        # More runs are pending than a batch has where the host made it shorter.
        for pending in (0, max(0, batch - 3), 255, rng.randrange(256)):
            for address, value in (
                (Reg.BATCH, batch),
                (Reg.PENDING, pending),
                (layer_register(0, LayerReg.KERNEL), kernel),
            ):
                await driver.write(address, value)
            expected = pending
            for _ in range(12):
                done = rng.getrandbits(1)
                dut.sample_done.value = done
                await FallingEdge(dut.clk)
                dut.sample_done.value = 0
                registers[int(Reg.SAMPLES)] = (registers[int(Reg.SAMPLES)] + done) & DATA_MASK
                if done and kernel:
                    expected = 0 if expected + 1 >= batch else expected + 1
                config = unpack(CONFIG, int(dut.config.value))
                assert config["pending"] == (expected if has_maps else 0), f"{pending} runs pending of {batch}"
            if has_maps:
                registers[int(Reg.PENDING)] = expected
    await driver.check()


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def takes_new_magnitudes(dut: Any) -> None:
    rng = Random(bench.seed())
    driver = Driver(dut, rng)
    await bench.start(dut)
    for address in driver.golden.registers:
        await driver.write(address, rng.getrandbits(32))
    stored = stored_bits(driver.limits)
    for valid in (0, 1):
        for layer in range(driver.limits.layers):
            address, value = layer_register(layer, LayerReg.MAGNITUDE), rng.getrandbits(LayerReg.MAGNITUDE.bits)
            dut.magnitude__layer.value, dut.magnitude__value.value = layer, value
            dut.magnitude__valid.value = valid
            await FallingEdge(dut.clk)
            dut.magnitude__valid.value = 0
            dut.magnitude__value.value = rng.getrandbits(LayerReg.MAGNITUDE.bits)
            if valid and address in stored:
                driver.golden.registers[address] = value
            await driver.check()


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def takes_new_feedback_shifts(dut: Any) -> None:
    rng = Random(bench.seed())
    driver = Driver(dut, rng)
    await bench.start(dut)
    for address in driver.golden.registers:
        await driver.write(address, rng.getrandbits(32))
    limits = driver.limits
    for en in (0, 1):
        for mask in range(1 << limits.layers):
            shifts = [rng.randrange(16) for _ in range(limits.layers)]
            dut.feedback_shifts__values.value = pack(shifts_layout(limits), shifts)
            dut.feedback_shifts__mask.value, dut.feedback_shifts__valid.value = mask, en
            await FallingEdge(dut.clk)
            dut.feedback_shifts__valid.value = 0
            dut.feedback_shifts__values.value = rng.getrandbits(len(dut.feedback_shifts__values))
            for slot in range(limits.layers):
                if en and mask >> slot & 1:
                    driver.golden.registers[layer_register(slot, LayerReg.FEEDBACK_SHIFT)] = shifts[slot]
            await driver.check()


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def reset_clears_all(dut: Any) -> None:
    rng = Random(bench.seed())
    driver = Driver(dut, rng)
    await bench.start(dut)
    for address in driver.golden.registers:
        await driver.write(address, DATA_MASK)
    dut.rst.value = 1
    await FallingEdge(dut.clk)
    dut.rst.value = 0
    driver.golden.registers = dict.fromkeys(driver.golden.registers, 0)
    await driver.check()
