"""Testbench of the testbench: stream endpoints around a registered stage and around a wire."""

from random import Random
from typing import Any

import cocotb
from amaranth.hdl import signed
from amaranth.lib import data
from cocotb.triggers import FallingEdge

from opzo.sim.benches import bench
from opzo.sim.benches.streams import StreamSink, StreamSource

PAYLOAD = data.StructLayout({"v": signed(20), "flag": 1, "lanes": data.ArrayLayout(signed(9), 4)})
"""Payload of the stage."""


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def keeps_every_payload_in_order(dut: Any) -> None:
    p, rng = bench.parameters(), Random(bench.seed())
    source = StreamSource(dut, dut.clk, "i", rng, p["stall_in"], shape=PAYLOAD)
    sink = StreamSink(dut, dut.clk, "o", rng, p["stall_out"], shape=PAYLOAD)
    await bench.start(dut)
    corners = (-(1 << 19), -1, 0, 1, (1 << 19) - 1)
    sent = [
        {
            "v": corners[n] if n < len(corners) else rng.randrange(-(1 << 19), 1 << 19),
            "flag": n & 1,
            "lanes": [rng.randrange(-256, 256) for _ in range(4)],
        }
        for n in range(300)
    ]
    begin = cocotb.utils.get_sim_time("ns")
    cocotb.start_soon(source.send_all(sent))
    assert await sink.receive_all(len(sent)) == sent
    if not p["stall_in"] and not p["stall_out"]:
        cycles = (cocotb.utils.get_sim_time("ns") - begin) / 10
        assert cycles <= len(sent) + 3, f"{cycles} cycles for {len(sent)} payloads without stalls"
    await source.send(sent[0])
    # Endpoints hand over outside the read-only phase, so that a test may drive at once.
    dut.rst.value = 0
    assert await sink.receive() == sent[0]
    dut.rst.value = 0
    for _ in range(5):
        await FallingEdge(dut.clk)
    assert len(sink) == 0


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def passes_bits(dut: Any) -> None:
    assert bench.seed() == 5
    rng = Random(bench.seed())
    source = StreamSource(dut, dut.clk, "i", rng, 0.3)
    sink = StreamSink(dut, dut.clk, "o", rng, 0.3)
    await bench.start(dut)
    sent = [rng.getrandbits(1) for _ in range(200)]
    await source.send_all(sent)
    assert await sink.receive_all(len(sent)) == sent


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def sees_inner_signals(dut: Any) -> None:
    await bench.start(dut)
    before = int(dut.held.value)
    await FallingEdge(dut.clk)
    assert int(dut.held.value) == (before + 1) % 16
