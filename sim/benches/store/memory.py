"""Testbench of the memory behind the sample store: a user beside an array; for SDRAM, the chip's model at the pins."""

import json
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import cocotb
from cocotb.triggers import ClockCycles, FallingEdge
from cocotb.utils import get_sim_time

from opzo.hw.store.memory import MOST_WORDS, WORD_BITS, command_layout
from opzo.hw.store.sdram.parts import PARTS, SdramPart
from opzo.hw.store.sdram.pins import SdramCommand
from opzo.hw.store.sdram.timing import PinDelays
from opzo.sim.benches import bench
from opzo.sim.benches.store.sdram_chip import SdramChip
from opzo.sim.benches.store.sdram_pins import SdramPins
from opzo.sim.benches.streams import StreamSink, StreamSource

STALLS = ((0.0, 0.0, 0.0), (0.5, 0.3, 0.3), (0.0, 0.9, 0.0), (0.9, 0.0, 0.6), (0.0, 0.0, 0.9))
"""Of commands, words written and words read."""
RECORD = 175
"""Words of a record of 350 bytes, about one MNIST sample as events."""


def content(address: int) -> int:
    """Word at an address that was never written: different in addresses that differ in one or two bits."""
    return (address * 0x9E3779B1 >> 7 ^ address >> 3) & 0xFFFF


class User:
    """What the store does, and what the memory should hold.

    Attributes
    ----------
    words : dict
        By address, those written; others are `content` in SDRAM, and any word in block RAM.
    wanted : list
        Words that were asked for; None for any word.
    """

    def __init__(self, dut: Any) -> None:
        given = bench.parameters()
        self.rng = Random(bench.seed())
        self.dut = dut
        self.part = _part(given["part"]) if "part" in given else None
        self.address_bits: int = self.part.address_bits if self.part else given["address_bits"]
        self.period: float = given.get("period", 10.0)
        self.words: dict[int, int] = {}
        layout = command_layout(self.address_bits)
        self.commands = StreamSource(dut, dut.clk, "port__command", self.rng, shape=layout)
        self.writes = StreamSource(dut, dut.clk, "port__write", self.rng)
        self.reads = StreamSink(dut, dut.clk, "port__read", self.rng)
        self.wanted: list[int | None] = []
        self.last_place = 0
        self.chip: SdramChip | None = None
        if self.part is not None:
            halves = self.part.data_bits // WORD_BITS

            def wide(address: int) -> int:
                return sum(content(address * halves + half) << WORD_BITS * half for half in range(halves))

            self.chip = SdramChip(self.part, self.period, wide)
            delays = PinDelays(**{name: tuple(given[name]) for name in ("clock", "output", "input")})
            SdramPins(dut, "pins", self.chip, delays, self.rng)

    @classmethod
    async def begin(cls, dut: Any) -> "User":
        user = cls(dut)
        await bench.start(dut, user.period)
        if user.chip is not None:
            user.chip.restart(get_sim_time("ns"))
        return user

    def stall(self, commands: float, writes: float, reads: float) -> None:
        self.commands.stall, self.writes.stall, self.reads.stall = commands, writes, reads

    def write(self, address: int, words: list[int]) -> None:
        self.commands.put({"address": address, "words": len(words), "write": 1})
        for offset, word in enumerate(words):
            self.writes.put(word)
            self.words[address + offset] = word

    def read(self, address: int, count: int) -> None:
        self.commands.put({"address": address, "words": count, "write": 0})
        unwritten = content if self.part else lambda _: None
        self.wanted += [self.words.get(at, unwritten(at)) for at in range(address, address + count)]

    def random_words(self, count: int) -> list[int]:
        return [self.rng.getrandbits(WORD_BITS) for _ in range(count)]

    async def check(self) -> None:
        """Wait for all words that were asked for, and compare them."""
        received = await self.reads.receive_all(len(self.wanted))
        for place, (word, wanted) in enumerate(zip(received, self.wanted, strict=True)):
            if wanted is not None:
                assert word == wanted, f"word {place} of {len(self.wanted)} is {word:#06x}, not {wanted:#06x}"
        self.wanted.clear()
        await ClockCycles(self.dut.clk, 2)
        assert len(self.reads) == 0, "words that nobody asked for"

    async def finish(self) -> None:
        await self.check()
        await FallingEdge(self.dut.clk)
        if self.chip is not None:
            self.chip.check_refresh(get_sim_time("ns"))

    def place(self, count: int) -> int:
        """Address of ``count`` words: at the ends of memory and rows, among a few rows, or a bit away from the last."""
        rng, last = self.rng, (1 << self.address_bits) - count
        row = 1 << (self.part.column_bits if self.part else 4)
        near = rng.randrange(0, 1 << self.address_bits, row) + rng.randint(-2, 2)
        some = rng.choice((0, 1, 5)) * row * 4 + rng.randrange(row)
        bit = self.last_place ^ 1 << rng.randrange(self.address_bits)
        self.last_place = min(max(rng.choice((0, last, near, some, some, bit, bit)), 0), last)
        return self.last_place


def _part(name: str) -> SdramPart:
    (part,) = (part for part in PARTS if part.name == name)
    return replace(part, power_up_us=bench.parameters()["power_up_us"])


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def random_traffic_matches_an_array(dut: Any) -> None:
    user = await User.begin(dut)
    rng = user.rng
    for stalls in STALLS:
        user.stall(*stalls)
        for _ in range(bench.parameters()["commands"]):
            count = rng.choice((1, 1, 2, 3, rng.randint(1, 40), rng.randint(1, 40), rng.randint(1, MOST_WORDS)))
            if bench.parameters()["short"]:
                count = rng.randint(1, 3)
            address = user.place(count)
            if rng.random() < 0.5:
                user.write(address, user.random_words(count))
            else:
                user.read(address, count)
        await user.check()
    user.stall(0, 0, 0)
    # Everything that was written is still there.
    last = sorted(user.words)
    for address in rng.sample(last, min(200, len(last))):
        user.read(address, 1)
    await user.finish()


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def moves_all_words_at_corners(dut: Any) -> None:
    user = await User.begin(dut)
    end = 1 << user.address_bits
    row = 1 << (user.part.column_bits + (user.part.data_bits > WORD_BITS) if user.part else 4)
    corners = [(end - 1, 1), (end - MOST_WORDS, MOST_WORDS), (0, 1), (0, MOST_WORDS), (row - 1, 2), (row - 1, 1)]
    corners += [(row, 1), (2 * row - 3, 6), (3 * row, row), (3 * row + 1, row)]
    for address, count in corners:
        user.read(address, count)
        user.write(address, user.random_words(count))
        user.read(address, count)
    await user.check()
    for address, count in reversed(corners):
        user.read(address, count)
    await user.finish()


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def words_may_come_before_or_after_their_command(dut: Any) -> None:
    user = await User.begin(dut)
    words = user.random_words(3)
    user.write(7, words)
    user.read(6, 5)
    await user.check()
    # A command whose words come later, one at a time.
    user.commands.put({"address": 100, "words": 3, "write": 1})
    for offset, word in enumerate(words):
        await ClockCycles(dut.clk, 50)
        await user.writes.send(word)
        user.words[100 + offset] = word
    user.read(99, 5)
    await user.check()
    # Words that wait for their command.
    for word in words:
        user.writes.put(word)
    await ClockCycles(dut.clk, 50)
    user.commands.put({"address": 200, "words": 3, "write": 1})
    user.words |= {200 + offset: word for offset, word in enumerate(words)}
    user.read(199, 5)
    await user.finish()


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def stalls_and_idle_time_lose_nothing(dut: Any) -> None:
    """A chip must be refreshed meanwhile: between commands, in a read whose words nobody takes, in a stopped write."""
    user = await User.begin(dut)
    cycles = bench.parameters()["idle"]
    words = user.random_words(MOST_WORDS)
    user.write(0, words)
    user.read(0, 1)
    await user.check()
    await ClockCycles(dut.clk, cycles)
    user.read(0, MOST_WORDS)
    user.reads.stall = 1
    await ClockCycles(dut.clk, cycles)
    user.reads.stall = 0
    await user.check()
    user.commands.put({"address": 3, "words": 2, "write": 1})
    await user.writes.send(words[0])
    await ClockCycles(dut.clk, cycles)
    await user.writes.send(words[1])
    user.words |= {3: words[0], 4: words[1]}
    user.read(0, 10)
    await user.finish()
    if user.chip is not None:
        refreshes = 3 * cycles * user.period / user.chip.part.refresh_interval
        assert user.chip.counts[SdramCommand.REFRESH] >= refreshes


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def begins_again_after_a_reset(dut: Any) -> None:
    user = await User.begin(dut)
    for _ in range(bench.parameters()["resets"]):
        user.write(0, user.random_words(100))
        user.read(0, 100)
        # In a write, in a read, or during power-up.
        await ClockCycles(dut.clk, user.rng.choice((10, 500, 560, 640)) + user.rng.randrange(60))
        await FallingEdge(dut.clk)
        dut.rst.value = 1
        user.commands.discard()
        user.writes.discard()
        await FallingEdge(dut.clk)
        await FallingEdge(dut.clk)
        dut.rst.value = 0
        user.reads.clear()
        user.words.clear()
        user.wanted.clear()
        if user.chip is not None:
            user.chip.restart(get_sim_time("ns"))
        words = user.random_words(20)
        user.write(50, words)
        user.read(50, 20)
        await user.check()
    await user.finish()


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def records_are_moved_at_nearly_a_word_a_cycle(dut: Any) -> None:
    """Words a cycle, from the first command to the last word: at least 0.7 for reads and writes, of any order."""
    user = await User.begin(dut)
    count, rng = bench.parameters()["records"], user.rng
    most = (1 << user.address_bits) // RECORD
    orders = {"in order": list(range(count)), "in random order": [rng.randrange(most) for _ in range(count)]}
    figures: dict[str, float] = {}
    for name, order in orders.items():
        for kind in ("writes", "reads"):
            user.read(0, 1)
            await user.check()
            begin = get_sim_time("ns")
            for record in order:
                if kind == "reads":
                    user.read(record * RECORD, RECORD)
                else:
                    user.write(record * RECORD, user.random_words(RECORD))
            # Its word comes when all writes are done.
            user.read(0, 1)
            await user.check()
            cycles = (get_sim_time("ns") - begin) / user.period
            figures[f"{kind} {name}"] = round(count * RECORD / cycles, 4)
    dut._log.info("words a cycle: %s", figures)
    if "report" in bench.parameters():
        Path(bench.parameters()["report"]).write_text(json.dumps(figures))
    assert min(figures.values()) >= 0.7, figures
