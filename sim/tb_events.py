"""Testbench of the event buffer."""

from collections import deque
from random import Random
from typing import Any

import cocotb
from cocotb.triggers import FallingEdge, ReadOnly, with_timeout

from opzo.hw.interface import EVENT, RUN
from opzo.sim import bench
from opzo.sim.streams import StreamSource, unpack


class Link:
    """What the link does: events, then run; and what the buffer should hold."""

    def __init__(self, dut: Any, rng: Random, stall: float) -> None:
        self.dut, self.rng = dut, rng
        self.events = StreamSource(dut, dut.clk, "event", rng, stall, shape=EVENT)
        self.runs = StreamSource(dut, dut.clk, "run", rng, stall, shape=RUN)
        self.queue: deque[tuple[list[dict[str, int]], dict[str, int]]] = deque()
        for name in ("discard", "index", "release"):
            getattr(dut, name).value = 0

    def random_events(self, count: int) -> list[dict[str, int]]:
        """Events in ascending order of address."""
        addresses = sorted(self.rng.sample(range(1 << 12), count))
        return [{"address": address, "value": self.rng.randrange(1, 256)} for address in addresses]

    def random_run(self) -> dict[str, int]:
        """Some RUN."""
        r = self.rng.getrandbits
        return {"train": r(1), "outputs": r(1), "label": r(6), "tag": r(2)}

    async def send(self, count: int) -> None:
        """Send a sample with ``count`` events; now and then one that is discarded before it."""
        while self.rng.random() < 0.3:
            await self.events.send_all(self.random_events(self.rng.randrange(bench.parameters()["inputs"])))
            await self.discard()
        events, run = self.random_events(count), self.random_run()
        await self.events.send_all(events)
        self.queue.append((events, run))
        await self.runs.send(run)

    async def discard(self) -> None:
        """Strobe discard."""
        self.dut.discard.value = 1
        await FallingEdge(self.dut.clk)
        self.dut.discard.value = 0


async def read_sample(dut: Any, rng: Random, link: Link) -> None:
    """Wait for a sample, compare it with what was sent, and release it."""
    for _ in range(100_000):
        if dut.sample_valid.value:
            break
        await FallingEdge(dut.clk)
    assert dut.sample_valid.value == 1
    assert dut.queued.value == 1
    events, run = link.queue.popleft()
    assert unpack(RUN, int(dut.sample.value)) == run
    assert int(dut.count.value) == len(events)
    # In order, then here and there.
    for index in [*range(len(events)), *(rng.randrange(len(events)) for _ in range(5) if events)]:
        dut.index.value = index
        await FallingEdge(dut.clk)
        event = {"address": int(dut.address.value), "value": int(dut.value.value)}
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
    await FallingEdge(dut.clk)
    assert dut.sample_valid.value == 0
    assert dut.queued.value == 0


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def is_not_ready_while_both_halves_are_closed(dut: Any) -> None:
    rng = Random(bench.seed())
    link = Link(dut, rng, 0)
    await bench.start(dut)
    for _ in range(2):
        events, run = link.random_events(3), link.random_run()
        await link.events.send_all(events)
        await link.runs.send(run)
        link.queue.append((events, run))
    await ReadOnly()
    assert dut.event__ready.value == 0
    assert dut.run__ready.value == 0
    await FallingEdge(dut.clk)
    # Nothing is open, so nothing is discarded.
    await link.discard()
    event = link.random_events(1)
    taken = link.events.put(event[0])
    for _ in range(10):
        await FallingEdge(dut.clk)
    assert not taken.is_set()
    await read_sample(dut, rng, link)
    await with_timeout(taken.wait(), 1, "us")
    run = link.random_run()
    await link.runs.send(run)
    link.queue.append((event, run))
    await read_sample(dut, rng, link)
    await read_sample(dut, rng, link)
    assert dut.queued.value == 0


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def same_cycle_rules(dut: Any) -> None:
    rng = Random(bench.seed())
    link = Link(dut, rng, 0)
    await bench.start(dut)
    for _ in range(20):
        # An event in the cycle of run belongs to the sample.
        events, run = link.random_events(4), link.random_run()
        await link.events.send_all(events[:3])
        taken = link.events.put(events[3]), link.runs.put(run)
        for event in taken:
            await event.wait()
        link.queue.append((events, run))
        # An event in the cycle of discard does not belong to the next one.
        lost, events, run = link.random_events(2), link.random_events(2), link.random_run()
        await link.events.send(lost[0])
        event = link.events.put(lost[1])
        # The source wakes at the next falling edge.
        await FallingEdge(dut.clk)
        dut.discard.value = 1
        await event.wait()
        dut.discard.value = 0
        await link.events.send_all(events)
        link.queue.append((events, run))
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
    depth = 1 << len(dut.index)
    for _ in range(2):
        events, run = link.random_events(depth + 3), link.random_run()
        await link.events.send_all(events)
        await link.runs.send(run)
        link.queue.append((events[:depth], run))
    assert p["inputs"] <= depth
    await read_sample(dut, rng, link)
    await read_sample(dut, rng, link)


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def reset_empties_both_halves(dut: Any) -> None:
    rng = Random(bench.seed())
    link = Link(dut, rng, 0)
    await bench.start(dut)
    for runs in (0, 1, 2, 1, 0):
        for _ in range(runs):
            await link.events.send_all(link.random_events(2))
            await link.runs.send(link.random_run())
        if runs < 2:
            await link.events.send_all(link.random_events(3))
        dut.rst.value = 1
        await FallingEdge(dut.clk)
        dut.rst.value = 0
        assert dut.queued.value == 0
        events, run = link.random_events(1), link.random_run()
        await link.events.send_all(events)
        await link.runs.send(run)
        link.queue.append((events, run))
        await read_sample(dut, rng, link)
        assert dut.queued.value == 0
