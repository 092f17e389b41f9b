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
from opzo.sim.benches.traffic import frames
from opzo.spec.commands import ANSWERS, REPLY, REQUESTS, Command, Status
from opzo.spec.frames import Frame


class StoredHost(Host):
    """A host, a core and a memory."""

    traffic: StoreTraffic

    def __init__(self, dut: Any, stall: float = 0.0, sample_cycles: int = 0, exchanges: int = 0) -> None:
        super().__init__(dut, stall, sample_cycles, StoreTraffic)
        self.exchanges = exchanges
        rng = Random(self.rng.random())
        self.memory = MemoryModel(dut, STORE_LIMITS.store, STORE_LIMITS.store_bits, rng, stall)

    def check_core(self) -> None:
        super().check_core()
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
