"""Testbench of the event buffer."""

from collections import deque
from dataclasses import dataclass
from random import Random
from typing import Any

import cocotb
from amaranth.lib import data
from cocotb.triggers import FallingEdge, ReadOnly, with_timeout

from opzo.hw.interface import EVENT, RUN
from opzo.sim.benches import bench
from opzo.sim.benches.streams import StreamSource, unpack
from opzo.spec.formats import HISTORY_STEPS

Items = list[dict[str, int]]
"""Of the stream ``event``."""


@dataclass
class Half:
    """What a half should hold."""

    events: Items
    ends: list[int]
    run: dict[str, int]

    @classmethod
    def of(cls, items: Items, run: dict[str, int], depth: int) -> "Half":
        """What is left of ``items`` in a half with room for ``depth`` events."""
        events: Items = []
        ends: list[int] = []
        for item in items:
            if item["ends"]:
                ends += [len(events)] * item["ends"]
            elif len(events) < depth:
                events.append({"address": item["address"], "value": item["value"]})
        return cls(events, ends, run)


class Link:
    """What the link does: events and ends of time steps, then run; and what the buffer should hold."""

    def __init__(self, dut: Any, rng: Random, stall: float) -> None:
        self.dut, self.rng = dut, rng
        self.events = StreamSource(dut, dut.clk, "event", rng, stall, shape=EVENT)
        self.runs = StreamSource(dut, dut.clk, "run", rng, stall, shape=RUN)
        self.queue: deque[Half] = deque()
        self.depth = 1 << len(dut.read__index)
        self.dropped = 0
        """Strobes of ``dropped``."""
        for name in ("discard", "read__index", "release"):
            getattr(dut, name).value = 0
        cocotb.start_soon(self._count())

    async def _count(self) -> None:
        while True:
            await FallingEdge(self.dut.clk)
            await ReadOnly()
            self.dropped += not self.dut.rst.value and int(self.dut.dropped.value)

    def random_items(self, count: int, steps: int | None = None) -> Items:
        """Events and, as ``steps`` says or as it comes, ends of time steps among them."""
        rng = self.rng
        items = [{"address": rng.getrandbits(12), "value": rng.randrange(1, 256), "ends": 0} for _ in range(count)]
        left = rng.choice((0, 1, HISTORY_STEPS, rng.randrange(HISTORY_STEPS))) if steps is None else steps
        marks = []
        while left:
            ends = rng.randint(1, left)
            # What an end of steps has beside that is for nobody.
            marks.append((rng.randint(0, count), {"address": rng.getrandbits(12), "value": 0, "ends": ends}))
            left -= ends
        for place, mark in sorted(marks, key=lambda mark: -mark[0]):
            items.insert(place, mark)
        return items

    def random_run(self) -> dict[str, int]:
        """Some RUN."""
        return {name: self.rng.getrandbits(field.width) for name, field in RUN}

    def expect(self, items: Items, run: dict[str, int]) -> None:
        """Note what the half that is closed now should hold."""
        self.queue.append(Half.of(items, run, self.depth))

    async def send(self, count: int) -> None:
        """Send a run with ``count`` events; now and then one that is discarded before it."""
        while self.rng.random() < 0.3:
            await self.events.send_all(self.random_items(self.rng.randrange(bench.parameters()["inputs"])))
            await self.discard()
        items, run = self.random_items(count), self.random_run()
        await self.events.send_all(items)
        self.expect(items, run)
        await self.runs.send(run)

    async def discard(self) -> None:
        """Strobe discard."""
        self.dut.discard.value = 1
        await FallingEdge(self.dut.clk)
        self.dut.discard.value = 0


async def read_sample(dut: Any, rng: Random, link: Link) -> None:
    """Wait for a run, compare it with what was sent, and release it."""
    for _ in range(100_000):
        if dut.sample_valid.value:
            break
        await FallingEdge(dut.clk)
    assert dut.sample_valid.value == 1
    assert dut.queued.value == 1
    half = link.queue.popleft()
    events = half.events
    assert unpack(RUN, int(dut.sample.value)) == half.run
    assert int(dut.counts__count.value) == len(events)
    assert int(dut.steps.value) == len(half.ends)
    ends = unpack(data.ArrayLayout(len(dut.counts__ends) // HISTORY_STEPS, HISTORY_STEPS), int(dut.counts__ends.value))
    assert ends[: len(half.ends)] == half.ends, f"ends of steps, seed {bench.seed()}"
    # In order, then here and there.
    for index in [*range(len(events)), *(rng.randrange(len(events)) for _ in range(5) if events)]:
        dut.read__index.value = index
        await FallingEdge(dut.clk)
        event = {"address": int(dut.read__address.value), "value": int(dut.read__value.value)}
        assert event == events[index], f"event {index}, seed {bench.seed()}"
    await release(dut)


async def release(dut: Any) -> None:
    """Strobe release."""
    dut.release.value = 1
    await FallingEdge(dut.clk)
    dut.release.value = 0


@cocotb.test(timeout_time=100, timeout_unit="ms")
async def keeps_every_sample(dut: Any) -> None:
    p, rng = bench.parameters(), Random(bench.seed())
    link = Link(dut, rng, p["stall"])
    await bench.start(dut)
    counts = [0, 1, p["inputs"], 0, 0, p["inputs"], p["inputs"], 1, 1]
    counts += [rng.randrange(p["inputs"] + 1) for _ in range(100)]

    async def send() -> None:
        for count in counts:
            await link.send(count)

    sender = cocotb.start_soon(send())
    for n in range(len(counts)):
        # Now the engine is slower, now the link.
        for _ in range(rng.choice((0, 0, 5, 4 * p["inputs"]))):
            await FallingEdge(dut.clk)
        await read_sample(dut, rng, link)
        assert len(link.queue) + n + 1 <= len(counts)
    await sender
    assert link.dropped == 0
    await FallingEdge(dut.clk)
    assert dut.sample_valid.value == 0
    assert dut.queued.value == 0


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def is_not_ready_while_both_halves_are_closed(dut: Any) -> None:
    rng = Random(bench.seed())
    link = Link(dut, rng, 0)
    await bench.start(dut)
    for _ in range(2):
        items, run = link.random_items(3), link.random_run()
        await link.events.send_all(items)
        await link.runs.send(run)
        link.expect(items, run)
    await ReadOnly()
    assert dut.event__ready.value == 0
    assert dut.run__ready.value == 0
    await FallingEdge(dut.clk)
    # Nothing is open, so nothing is discarded.
    await link.discard()
    items = link.random_items(1, steps=2)
    taken = [link.events.put(item) for item in items]
    for _ in range(10):
        await FallingEdge(dut.clk)
    assert not taken[0].is_set()
    await read_sample(dut, rng, link)
    await with_timeout(taken[-1].wait(), 1, "us")
    run = link.random_run()
    await link.runs.send(run)
    link.expect(items, run)
    await read_sample(dut, rng, link)
    await read_sample(dut, rng, link)
    assert dut.queued.value == 0
    assert link.dropped == 0


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def same_cycle_rules(dut: Any) -> None:
    rng = Random(bench.seed())
    link = Link(dut, rng, 0)
    await bench.start(dut)
    for number in range(40):
        # An event, or an end of steps, in the cycle of run belongs to it.
        items, run = link.random_items(4), link.random_run()
        await link.events.send_all(items[:-1])
        taken = link.events.put(items[-1]), link.runs.put(run)
        for event in taken:
            await event.wait()
        link.expect(items, run)
        # One in the cycle of discard does not belong to the next one.
        lost = link.random_items(2, steps=1) if number % 2 else link.random_items(1, steps=2)
        items, run = link.random_items(2), link.random_run()
        await link.events.send_all(lost[:-1])
        event = link.events.put(lost[-1])
        # The source wakes at the next falling edge.
        await FallingEdge(dut.clk)
        dut.discard.value = 1
        await event.wait()
        dut.discard.value = 0
        await link.events.send_all(items)
        link.expect(items, run)
        # Release in the cycle of run: other halves.
        event = link.runs.put(run)
        await FallingEdge(dut.clk)
        dut.release.value = 1
        link.queue.popleft()
        await event.wait()
        dut.release.value = 0
        await read_sample(dut, rng, link)
        assert dut.queued.value == 0


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def drops_events_beyond_a_half(dut: Any) -> None:
    p, rng = bench.parameters(), Random(bench.seed())
    link = Link(dut, rng, 0)
    await bench.start(dut)
    assert p["inputs"] <= link.depth
    more = (1, 3, link.depth, 2 * link.depth + 1)
    for number, excess in enumerate(more):
        # Ends of steps are still taken, also behind the last event that fits.
        items, run = link.random_items(link.depth + excess, steps=rng.randint(1, HISTORY_STEPS)), link.random_run()
        await link.events.send_all(items)
        await link.runs.send(run)
        link.expect(items, run)
        assert link.dropped == sum(more[: number + 1])
        if number % 2:
            await read_sample(dut, rng, link)
            await read_sample(dut, rng, link)
    # A discarded half is empty again, and one that is just full has lost nothing.
    await link.events.send_all(link.random_items(link.depth + 2))
    await link.discard()
    items, run = link.random_items(link.depth), link.random_run()
    await link.events.send_all(items)
    await link.runs.send(run)
    link.expect(items, run)
    await read_sample(dut, rng, link)
    assert link.dropped == sum(more) + 2


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def reset_empties_both_halves(dut: Any) -> None:
    rng = Random(bench.seed())
    link = Link(dut, rng, 0)
    await bench.start(dut)
    for runs in (0, 1, 2, 1, 0):
        for _ in range(runs):
            await link.events.send_all(link.random_items(2))
            await link.runs.send(link.random_run())
        if runs < 2:
            await link.events.send_all(link.random_items(3, steps=3))
        dut.rst.value = 1
        await FallingEdge(dut.clk)
        dut.rst.value = 0
        assert dut.queued.value == 0
        items, run = link.random_items(1), link.random_run()
        await link.events.send_all(items)
        await link.runs.send(run)
        link.expect(items, run)
        await read_sample(dut, rng, link)
        assert dut.queued.value == 0
