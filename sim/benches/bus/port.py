"""Testbench of the bus side: random accesses, samples and link traffic, against the golden bus, on a fake core."""

from random import Random
from typing import Any

import cocotb
from cocotb.triggers import ClockCycles, FallingEdge

from opzo.sim.benches import bench
from opzo.sim.benches.bus.masters import Axi, Wishbone
from opzo.sim.benches.bus.samples import BUS_LIMITS, CORNER_CLASSES, corner_samples, draw_events, draw_last
from opzo.sim.benches.core_port import CorePort
from opzo.sim.benches.fake_core import FakeCore
from opzo.sim.benches.traffic import Traffic
from opzo.sim.golden.bus import BusError, GoldenBus
from opzo.sim.golden.link import GoldenLink
from opzo.spec.bus import (
    BUS_REGISTERS,
    EVENT_FIELDS,
    LINK_IN,
    LINK_OUT,
    RING_BYTES,
    ROW,
    BusRegister,
    Interrupt,
    Owner,
    StatusBit,
    address_of,
    run_word,
)
from opzo.spec.commands import Command, RunFlag
from opzo.spec.events import encode_events
from opzo.spec.frames import Frame
from opzo.spec.memories import Space
from opzo.spec.registers import Reg
from opzo.spec.rules import Input

MASTERS = {"axi": Axi, "wishbone": Wishbone}
TIMES = {"INTERRUPT_PENDING", "STATUS", "RESULT", "LINK_IN_TAKEN", "LINK_OUT_PUT"}
"""Registers that change by themselves; compared once the chip is idle."""
READY = 1 << StatusBit.READY
"""Not compared: the fake core takes events when it likes."""
COUNT = 1 << 16


class Bench:
    """The bus side with a master and a fake core, and the golden bus with another fake core."""

    def __init__(self, dut: Any, bus: str, stall: float, sample_cycles: int = 200) -> None:
        self.dut, self.streams = dut, bus == "axi"
        self.rng = rng = Random(bench.seed())
        self.master: Any = MASTERS[bus](dut, dut.clk, dut.rst, True, Random(rng.random()), stall)
        self.core = FakeCore(BUS_LIMITS)
        self.port = CorePort(dut, self.core, Random(rng.random()), stall, sample_cycles)
        self.golden_core = FakeCore(BUS_LIMITS)
        self.golden = GoldenBus(self.golden_core, streams=self.streams)

    async def read(self, address: int) -> int | None:
        """Read a word and compare it with the golden one."""
        found: int | None = await self.master.read(address)
        try:
            expected: int | None = self.golden.read(address)
        except BusError:
            expected = None
        if address == address_of("STATUS") and found is not None and expected is not None:
            found, expected = found | READY, expected | READY
        assert found == expected, f"0x{address:03x} reads {found}, golden {expected}"
        return found

    async def write(self, address: int, value: int, size: int = 4) -> bool:
        """Write a word; whether it was done must be as the golden one says."""
        done: bool = await self.master.write(address, value, size)
        try:
            self.golden.write(address, value, complete=size == 4)
            expected = True
        except BusError:
            expected = False
        text = f"writing 0x{value:x} to 0x{address:03x}, {size} bytes: {done}, golden {expected}"
        assert done is expected, text
        return done

    async def idle(self) -> None:
        """Wait until the chip is idle."""
        for _ in range(2000):
            status = await self.master.read(address_of("STATUS"))
            if status >> StatusBit.IDLE & 1:
                return
        raise AssertionError("the chip does not become idle")

    async def compare(self) -> None:
        """Compare what changes by itself, the interrupt, and what the cores were told."""
        for name in sorted(TIMES):
            await self.read(address_of(name))
        await ClockCycles(self.dut.clk, 3)
        level = getattr(self.dut, "interrupt" if self.streams else "interrupt_o").value
        assert bool(level) == self.golden.interrupt
        assert self.core.runs == self.golden_core.runs
        assert self.core.writes == self.golden_core.writes

    async def corners(self) -> None:
        """Samples at the bounds of what is allowed, and just beyond, for each kind of input."""
        await self.idle()
        for register, value in ((Reg.INPUTS, BUS_LIMITS.inputs), (Reg.CLASSES, CORNER_CLASSES)):
            assert await self.write(4 * register, value)
        for kind in range(4):
            assert await self.write(4 * Reg.INPUT, kind)
            for words in corner_samples(Input.of_register(kind)):
                assert await self._answer(words) == self.golden.run(words), (
                    f"{kind}: {[hex(word) for word in words[-8:]]}"
                )
            await self.idle()

    async def _answer(self, words: list[int]) -> list[int]:
        await self.master.send(words)
        result: list[int] = await self.master.receive()
        return result

    async def samples(self) -> None:
        """Send samples, and take the results when all were sent, or as they come."""
        count = self.rng.randint(1, 6)
        expected = []
        taking = None if not self.streams and count > 3 else self.rng.random() < 0.5

        async def take() -> list[list[int]]:
            return [await self.master.receive() for _ in range(count)]

        task = cocotb.start_soon(take()) if self.streams and taking else None
        for _ in range(count):
            words = [*draw_events(self.rng, self.golden_core), draw_last(self.rng, self.golden_core)]
            if self.streams:
                await self.master.send(words)
                expected.append(self.golden.run(words))
                continue
            for word in words[:-1]:
                assert await self.write(address_of("SAMPLE"), word)
            done = await self.write(address_of("RUN"), words[-1])
            if not done:
                assert await self.write(address_of("DISCARD"), 0)
        if self.streams:
            found = await task if task else await take()
            assert found == expected, f"results {found}, golden {expected}"
        await self.idle()
        while not self.streams and self.golden.read(address_of("RESULT")):
            await self.read(address_of("RESULT"))
            assert await self.write(address_of("RESULT_TAKE"), self.rng.getrandbits(32))

    async def begun(self) -> None:
        """Begin a sample: what needs the core is an error until it is discarded."""
        words = [*(address | 1 << 16 for address in range(40)), run_word(0, 0)]
        if self.streams:
            source, before = self.master.source, self.master.taken
            await self.master.send(words)
            while self.master.taken == before:
                await FallingEdge(self.dut.clk)
            source.pause = True
            generator, source._pause_generator = source._pause_generator, None
            source.clear_pause_generator()
            source.pause = True
            await ClockCycles(self.dut.clk, 20)
            taken = self.master.taken - before
            self.golden._sample = words[:taken]
        else:
            taken = self.rng.randint(1, 40)
            for word in words[:taken]:
                assert await self.write(address_of("SAMPLE"), word)
        if taken < len(words):
            assert not await self.write(4 * Reg.RATE, 5)
            assert not await self.write(address_of("OWNER"), Owner.LINK)
            assert not await self.write(address_of("MEMORY_READ"), 0)
            await self.read(4 * Reg.RATE)
            await self.read(address_of("STATUS"))
            assert await self.write(address_of("DISCARD"), 1)
        if self.streams:
            source.pause = False
            if generator is not None:
                source.set_pause_generator(generator)
            expected = self.golden.run(words[taken:] if taken < len(words) else words)
            assert await self.master.receive() == expected
        await self.idle()

    async def waits(self) -> None:
        """A write of a register waits for the run under way, and the next sample waits for the write."""
        for register, value in ((Reg.INPUT, Input.FRAME), (Reg.INPUTS, 10), (Reg.CLASSES, 3)):
            assert await self.write(4 * register, value)
        if not self.streams:
            await self._waits_for_refusal()
            return
        words = [3 | 1 << EVENT_FIELDS[1].low, run_word(RunFlag.TRAIN, 0)]
        self.port.held = True
        before = self.master.taken
        await self.master.send(words)
        while self.master.taken < before + len(words):
            await FallingEdge(self.dut.clk)
        writing = cocotb.start_soon(self.master.write(4 * Reg.RATE, 77))
        await ClockCycles(self.dut.clk, 100)
        await self.master.send(words)
        await ClockCycles(self.dut.clk, 100)
        assert not writing.done()
        assert self.master.taken == before + len(words), "a sample begins before the register is written"
        self.port.held = False
        assert await writing
        expected = [self.golden.run(words)]
        self.golden.write(4 * Reg.RATE, 77)
        expected.append(self.golden.run(words))
        assert [await self.master.receive() for _ in range(2)] == expected
        await self.idle()

    async def _waits_for_refusal(self) -> None:
        """A run that is about to be refused takes the last room for results, and RUN finds none."""
        good, bad = run_word(RunFlag.TRAIN, 0), run_word(0, 99)
        for _ in range(2):
            assert await self.write(address_of("RUN"), good)
        await self.idle()
        self.port.held = True
        # The refusal waits for the result before it.
        for word in (good, bad):
            assert await self.write(address_of("RUN"), word)
        running = cocotb.start_soon(self.write(address_of("RUN"), good))
        await ClockCycles(self.dut.clk, 100)
        assert not running.done()
        self.port.held = False
        assert not await running
        await self.idle()
        while self.golden.read(address_of("RESULT")):
            await self.read(address_of("RESULT"))
            assert await self.write(address_of("RESULT_TAKE"), 0)

    async def rows(self) -> None:
        """Move rows, also some that do not exist."""
        rng = self.rng
        space = rng.randrange(8)
        await self.write(address_of("MEMORY_SPACE"), space | rng.getrandbits(29) << 3)
        rows = Space(space).rows(BUS_LIMITS) if space in tuple(Space) else 1
        for _ in range(3):
            row = rng.choice((0, max(0, rows - 1), rows, rng.randrange(max(1, rows)), rng.getrandbits(32)))
            if rng.random() < 0.5:
                for word in range(BUS_LIMITS.lanes // 2):
                    await self.write(ROW + 4 * word, rng.getrandbits(32))
                await self.write(address_of("MEMORY_WRITE"), row)
            await self.write(address_of("MEMORY_READ"), row)
            for word in range(BUS_LIMITS.lanes // 2 + 1):
                await self.read(ROW + 4 * word)

    async def registers(self) -> None:
        """Read and write registers, also where nothing is, and words in parts."""
        rng = self.rng
        for _ in range(10):
            register: BusRegister = rng.choice(BUS_REGISTERS)
            address = register.address + 4 * rng.randrange(register.count)
            address = rng.choice((address, rng.randrange(0, 0x1000, 4)))
            if rng.random() < 0.5 and not self._starts(address):
                await self.write(address, rng.getrandbits(32), rng.choice((4, 4, 4, 1, 2, 3)))
            await self.idle()
            if address < LINK_OUT:
                await self.read(address)
        inputs = rng.choice((0, 1, 2, BUS_LIMITS.inputs, BUS_LIMITS.inputs + 1, rng.randint(1, 60)))
        for setting, value in (
            (Reg.INPUTS, inputs),
            (Reg.CLASSES, rng.randint(1, BUS_LIMITS.classes)),
            (Reg.INPUT, rng.randrange(4)),
        ):
            assert await self.write(4 * setting, value)

    @staticmethod
    def _starts(address: int) -> bool:
        """Whether a write starts what other steps of the bench do."""
        return address in {
            address_of(name) for name in ("OWNER", "SAMPLE", "RUN", "LINK_IN_PUT", "LINK_OUT_TAKEN", "RESULT_TAKE")
        }

    async def interrupts(self) -> None:
        """Enable and clear interrupts."""
        await self.idle()
        await self.write(address_of("INTERRUPT_ENABLE"), self.rng.getrandbits(len(Interrupt)))
        await self.write(address_of("INTERRUPT_PENDING"), self.rng.getrandbits(len(Interrupt)))

    async def link(self) -> None:
        """Give the core to the link, exchange frames through the rings, and take it back."""
        rng = self.rng
        assert await self.write(address_of("OWNER"), Owner.LINK)
        assert await self.read(4 * Reg.RATE) is None
        for address in (4 * Reg.RATE, address_of("MEMORY_READ"), address_of("SAMPLE"), address_of("DISCARD")):
            assert not await self.write(address, 0)
        traffic = Traffic(Random(rng.random()), BUS_LIMITS)
        traffic.core, traffic.link = self.golden_core, GoldenLink(self.golden_core)
        exchanges = [*traffic.begin(), *(traffic.ordinary() for _ in range(3))]
        # Events without a run, which are forgotten when the link loses the core.
        left = Frame(traffic.link.expected, Command.EVENTS, encode_events([(1, 2), (3, 4)]))
        exchanges.append(traffic.exchange(left.encode()))
        put, taken = self.golden.read(address_of("LINK_IN_PUT")), self.golden.read(address_of("LINK_OUT_TAKEN"))
        for exchange in exchanges:
            sent, answer = exchange.sent, bytearray()
            while sent or len(answer) < len(exchange.answered):
                room = RING_BYTES - (put - await self.master.read(address_of("LINK_IN_TAKEN"))) % COUNT
                part, sent = sent[:room], sent[room:]
                await self._put(put, part)
                put = (put + len(part)) % COUNT
                assert await self.master.write(address_of("LINK_IN_PUT"), put)
                there = await self.master.read(address_of("LINK_OUT_PUT"))
                for _ in range((there - taken) % COUNT):
                    word = await self.master.read(LINK_OUT + taken % RING_BYTES // 4 * 4)
                    answer.append(word >> 8 * (taken % 4) & 0xFF)
                    taken = (taken + 1) % COUNT
                assert await self.master.write(address_of("LINK_OUT_TAKEN"), taken)
            assert bytes(answer) == exchange.answered
        assert not await self.master.write(address_of("LINK_IN_PUT"), (put + RING_BYTES + 1) % COUNT)
        assert not await self.master.write(address_of("LINK_OUT_TAKEN"), (taken + 1) % COUNT)
        golden = self.golden
        golden._in_put = golden._in_taken = put
        golden._out_put = golden._out_taken = taken
        golden.pending |= 1 << Interrupt.LINK
        await ClockCycles(self.dut.clk, 20)
        assert await self.write(address_of("OWNER"), Owner.BUS)
        await self.idle()
        for name in ("LINK_IN_PUT", "LINK_OUT_TAKEN"):
            await self.read(address_of(name))

    async def _put(self, put: int, data: bytes) -> None:
        """Write bytes to the ring, words at a time; the golden ring has the word's other bytes."""
        ring = self.golden._in
        for index, byte in enumerate(data, put):
            ring[index % RING_BYTES] = byte
        for word in sorted({index % RING_BYTES // 4 for index in range(put, put + len(data))}):
            value = int.from_bytes(ring[4 * word : 4 * word + 4], "little")
            assert await self.master.write(LINK_IN + 4 * word, value)


@cocotb.test(timeout_time=200, timeout_unit="ms")
async def equals_golden(dut: Any) -> None:
    """Random steps; each answer, and all that the core was told, is that of the golden bus."""
    values = bench.parameters()
    host = Bench(dut, values["bus"], values["stall"])
    await bench.start(dut)
    await host.corners()
    await host.compare()
    kinds = [host.registers, host.rows, host.samples, host.samples, host.interrupts, host.begun, host.waits, host.link]
    for _ in range(values["rounds"]):
        host.rng.shuffle(kinds)
        for step in kinds:
            await step()
            await host.idle()
            await host.compare()
