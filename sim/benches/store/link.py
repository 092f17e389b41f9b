"""Testbench of a link with a sample store: replies, and commands to core and memory, against the golden link."""

from collections import Counter
from random import Random
from typing import Any

import cocotb
import numpy as np
from cocotb.triggers import ClockCycles

from opzo.sim.benches.bench import parameters, start
from opzo.sim.benches.link.link import Host, compare_late
from opzo.sim.benches.store.memory_model import MemoryModel
from opzo.sim.benches.store.traffic import SAMPLES, STORE_LIMITS, StoreTraffic
from opzo.sim.benches.traffic import chunk_cases, frames
from opzo.spec.commands import ANSWERS, MOST_ANSWERS, REPLY, REQUESTS, SETTING, Command, Status, StoredFlag
from opzo.spec.events import encode_events
from opzo.spec.frames import Frame
from opzo.spec.registers import Reg
from opzo.spec.rules import Input
from opzo.spec.shuffle import MAX_SHIFT
from opzo.spec.store import record


class StoredHost(Host):
    """A host, a core and a memory."""

    traffic: StoreTraffic

    def __init__(self, dut: Any, stall: float = 0.0, sample_cycles: int = 0, exchanges: int = 0) -> None:
        super().__init__(dut, stall, sample_cycles, StoreTraffic)
        self.exchanges = exchanges
        rng = Random(self.rng.random())
        # Some links under test have a memory inside.
        self.memory: MemoryModel | None = None
        if hasattr(dut, "memory__command__valid"):
            self.memory = MemoryModel(dut, STORE_LIMITS.store, STORE_LIMITS.store_bits, rng, stall)

    def check_core(self) -> None:
        super().check_core()
        if self.memory is not None:
            golden = self.traffic.link.store.memory.view("<u2")
            np.testing.assert_array_equal(self.memory.words, golden)

    def count(self, wire: bytes, counts: Counter[str]) -> None:
        """Count blocks by how they ended."""
        for frame in frames(wire):
            if frame.code == Command.RUN_STORED | REPLY:
                status = Status(frame.data[0])
                if status != Status.OK:
                    counts[f"refused {status.name}"] += 1
                    continue
                end, samples, correct, *_ = ANSWERS[Command.RUN_STORED].unpack(frame.data[1:])
                counts[f"ended {Status(end).name}"] += 1
                counts["samples"] += samples
                counts["correct"] += correct


@cocotb.test(timeout_time=60, timeout_unit="ms")
async def equals_golden_in_step(dut: Any) -> None:
    host = StoredHost(dut, **parameters())
    await start(dut)
    counts: Counter[str] = Counter()
    for exchange in host.traffic.begin():
        await host.in_step(exchange)
    for _ in range(host.exchanges):
        exchange = host.traffic.hostile()
        await host.in_step(exchange)
        host.count(exchange.answered, counts)
    await host.finish()
    dut._log.info("blocks: %s", dict(counts))
    assert counts["ended OK"] > host.exchanges // 20, counts
    assert counts["samples"] > host.exchanges // 8, counts
    await host.recover()


@cocotb.test(timeout_time=60, timeout_unit="ms")
async def loses_and_repeats_nothing_when_flooded(dut: Any) -> None:
    host = StoredHost(dut, **parameters())
    await start(dut)
    exchanges = host.traffic.begin() + [host.traffic.hostile() for _ in range(host.exchanges)]
    await host.rx.send_all(b"".join(exchange.sent for exchange in exchanges))
    answered = await host.settle()
    compare_late(frames(answered), frames(b"".join(exchange.answered for exchange in exchanges)))
    host.check_core()
    await host.recover()


class Bounds(StoredHost):
    """One sample after another, each in a block of its own."""

    async def send(self, code: Command, data: bytes) -> bytes:
        """Payload of the reply, which is the golden one."""
        exchange = self.traffic.exchange(Frame(self.traffic.link.expected, code, data).encode())
        await self.in_step(exchange)
        return frames(exchange.answered)[0].data

    async def write(self, address: int, data: bytes) -> None:
        for begin in range(0, len(data), 1000):
            part = REQUESTS[Command.WRITE_STORE].pack(address + begin) + data[begin : begin + 1000]
            assert await self.send(Command.WRITE_STORE, part) == bytes((Status.OK,))

    async def ends(self, kind: int, place: int, classes: int = STORE_LIMITS.classes) -> tuple[Status, int]:
        """End of a block with the sample at ``place``, and samples that were run; a good run follows."""
        await self.write(0, place.to_bytes(4, "little"))
        settings = ((Reg.INPUT, kind), (Reg.CLASSES, classes))
        fields = {"flags": 1, "samples": 1, "count": 1}
        blank = {field.name: 0 for field in REQUESTS[Command.RUN_STORED].fields}
        payload = REQUESTS[Command.RUN_STORED].pack(*(blank | fields).values())
        reply = await self.send(Command.RUN_STORED, payload + b"".join(SETTING.pack(*each) for each in settings))
        end, samples, *_ = ANSWERS[Command.RUN_STORED].unpack(reply[1:])
        await self.send(Command.RUN, bytes((1, 0)) + (b"" if kind == Input.FRAME else b"\xf0\1"[: 1 + (kind == 2)]))
        return Status(end), samples


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def a_block_ends_where_run_would_refuse(dut: Any) -> None:
    """With each status, also in the second run of a sample; no event of the refused run stays in the core."""
    host = Bounds(dut)
    await start(dut)
    for exchange in host.traffic.begin():
        await host.in_step(exchange)
    limits, place = STORE_LIMITS, 1000
    frame = encode_events([(3, 7), (8, 9)])
    cases = [(0, frame + b"\0", 0, Status.BAD_LENGTH), (0, frame, limits.classes, Status.BAD_LABEL)]
    cases += [(0, encode_events([(4, 1), (limits.inputs, 1)]), 0, Status.BAD_EVENT), (0, frame, 1, Status.OK)]
    cases += [(0, b"", 1, Status.OK), (int(Input.GRADED), b"\xf0\1\0", 0, Status.BAD_LENGTH)]
    seen: Counter[tuple[int, Status]] = Counter()
    for case in chunk_cases(limits):
        data = b"".join(case.parts)
        seen[case.kind, case.status] += 1
        if case.kind != 3 and seen[case.kind, case.status] <= 2 and len(data) <= 2000:
            cases.append((case.kind, data, case.label, case.status))
    good = {Input.FRAME: frame, Input.SPIKES: b"\2\xf0", Input.GRADED: b"\2\1\xf0\0"}
    found = set()
    for kind, data, label, status in cases:
        what = f"kind {kind}, label {label}, {data[:100].hex()}"
        for runs in ((data,), (good[Input(kind)], data)):
            await host.write(place, record(runs, label))
            expected = Status.BAD_LABEL if len(runs) == 2 and label >= limits.classes else status
            assert await host.ends(kind, place) == (expected, int(expected == Status.OK)), what
        found.add(status)
    assert found == {status for status in Status if status.name.startswith("BAD_") or status in (0, Status.FULL)} - {
        Status.BAD_COMMAND,
        Status.BAD_ADDRESS,
        Status.BAD_BLOCK,
    }
    # A label that the network has and the device has not.
    await host.write(place, record((frame,), limits.classes))
    assert await host.ends(0, place, limits.classes + 1) == (Status.BAD_LABEL, 0)
    last = record((frame,), 1)
    for begin, ended in (
        (limits.store - len(last), Status.OK),
        (limits.store - len(last) + 2, Status.BAD_ADDRESS),
        (limits.store - 4, Status.BAD_ADDRESS),
        (limits.store - 2, Status.BAD_ADDRESS),
        (limits.store, Status.BAD_ADDRESS),
        (0xFFFFFFFE, Status.BAD_ADDRESS),
        (0xFFFFFFFC, Status.BAD_ADDRESS),
        (place + 1, Status.BAD_ADDRESS),
    ):
        if begin % 2 == 0 and begin < limits.store:
            await host.write(begin, last[: limits.store - begin])
        assert await host.ends(0, begin) == (ended, int(ended == Status.OK)), f"sample at {begin}"
    await host.finish()


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def commands_beyond_a_bound_are_refused(dut: Any) -> None:
    """One step beyond each bound, with the status of the first error; settings of such a block are not written."""
    host = Bounds(dut)
    await start(dut)
    for exchange in host.traffic.begin():
        await host.in_step(exchange)
    end, largest = STORE_LIMITS.store, (1 << 32) - 1
    address, block, length = Status.BAD_ADDRESS, Status.BAD_BLOCK, Status.BAD_LENGTH
    most = {"samples": 40, "count": MOST_ANSWERS, "flags": int(StoredFlag.ANSWERS)}
    for given, status in (
        ({"samples": 4, "count": 0}, block),
        ({"samples": 4, "first": 3, "count": 2}, block),
        ({"samples": 4, "first": largest, "count": 1}, block),
        ({"samples": 4, "first": largest - 1, "count": 4}, block),
        ({"samples": 4, "shift": MAX_SHIFT + 1}, block),
        ({"samples": 4, "shift": 128}, block),
        (most | {"count": MOST_ANSWERS + 1}, block),
        ({"table": 1, "samples": 4}, address),
        ({"table": end - 14, "samples": 4}, address),
        ({"table": end, "samples": 1}, address),
        ({"samples": 0x40000000}, address),
        ({"table": largest - 1, "samples": 1}, address),
        ({"table": largest - 1, "samples": largest}, address),
    ):
        blank = {field.name: 0 for field in REQUESTS[Command.RUN_STORED].fields} | {"count": 1}
        payload = REQUESTS[Command.RUN_STORED].pack(*(blank | given).values()) + SETTING.pack(Reg.SAMPLES, 99)
        assert await host.send(Command.RUN_STORED, payload) == bytes((status,)), given
        for size in (0, len(payload) - 1, len(payload) - SETTING.size - 1):
            assert await host.send(Command.RUN_STORED, payload[:size]) == bytes((length,)), size
    for command in (Command.READ_STORE, Command.CHECK_STORE):
        for place, count, status in (
            (0, 0, length),
            (0, 3, length),
            (1, 2, address),
            (end, 2, address),
            (end - 4, 6, address),
            (largest - 1, 2, address),
            (largest, 1, length),
        ):
            assert await host.send(command, REQUESTS[command].pack(place, count)) == bytes((status,)), command
        data = REQUESTS[command].pack(0, 2)
        for wrong in (data[:-1], data + b"\0", b""):
            assert await host.send(command, wrong) == bytes((length,)), command
    for place, data, status in (
        (0, b"", length),
        (0, b"1", length),
        (1, b"12", address),
        (end - 2, b"1234", address),
        (largest - 1, b"12", address),
    ):
        request = REQUESTS[Command.WRITE_STORE].pack(place) + data
        assert await host.send(Command.WRITE_STORE, request) == bytes((status,)), place
    check = REQUESTS[Command.CHECK_STORE].pack(0, 0x80000000)
    assert await host.send(Command.CHECK_STORE, check) == bytes((address,))
    await host.finish()


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def a_block_waits_while_another_one_runs(dut: Any) -> None:
    """The next block is taken during a block, and a repeated frame of either is answered once, by the result."""
    host = StoredHost(dut)
    await start(dut)
    for exchange in host.traffic.begin():
        await host.in_step(exchange)
    host.port.held = True
    expected = host.traffic.link.expected
    table = host.traffic._tables[0]
    fields = {"flags": 3, "table": table, "samples": SAMPLES, "seed": 5, "count": 3}
    blank = {field.name: 0 for field in REQUESTS[Command.RUN_STORED].fields}
    blocks = []
    for k in range(3):
        payload = REQUESTS[Command.RUN_STORED].pack(*(blank | fields | {"first": k}).values())
        blocks.append(Frame((expected + k) % 256, Command.RUN_STORED, payload).encode())
    exchanges = [host.traffic.exchange(wire) for wire in blocks]
    await host.rx.send_all(blocks[0] + blocks[1] + blocks[0] + blocks[1] + blocks[1])
    await ClockCycles(dut.clk, 2000)
    assert len(host.tx) == 0
    host.port.held = False
    await host.rx.send_all(blocks[2])
    answered = b"".join(exchange.answered for exchange in exchanges)
    assert bytes(await host.tx.receive_all(len(answered))) == answered
    await host.finish()
