"""Testbench of the chip with AXI4-Streams of bytes: recorded exchanges of a host with a golden device."""

import logging
from random import Random
from typing import Any

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, FallingEdge, with_timeout
from cocotbext.axi import AxiStreamBus, AxiStreamSink, AxiStreamSource

from opzo.sim.benches import bench
from opzo.sim.benches.bus.masters import TIMEOUT_US, stalls


@cocotb.test(timeout_time=2000, timeout_unit="ms")
async def answers_as_recorded(dut: Any) -> None:
    """Each exchange in the parameters, what the host sends and what the device answers, both in hexadecimal."""
    logging.getLogger(f"cocotb.{dut._name}").setLevel(logging.WARNING)
    values = bench.parameters()
    rng = Random(bench.seed())
    dut.aresetn.value = 0
    Clock(dut.aclk, 10, unit="ns").start()
    ports = (dut.aclk, dut.aresetn, False)
    source = AxiStreamSource(AxiStreamBus.from_prefix(dut, "s_axis"), *ports)
    sink = AxiStreamSink(AxiStreamBus.from_prefix(dut, "m_axis"), *ports)
    if values["stall"]:
        for side in (source, sink):
            side.set_pause_generator(stalls(Random(rng.random()), values["stall"]))
    await ClockCycles(dut.aclk, 5)
    await FallingEdge(dut.aclk)
    dut.aresetn.value = 1
    for number, (sent, answer) in enumerate(values["exchanges"]):
        await source.send(bytes.fromhex(sent))
        expected, found = bytes.fromhex(answer), b""
        while len(found) < len(expected):
            frame = await with_timeout(sink.recv(), TIMEOUT_US, "us")
            found += bytes(frame.tdata)
        assert found == expected, f"exchange {number}: {found.hex(' ')}, recorded {expected.hex(' ')}"
    await ClockCycles(dut.aclk, 2000)
    assert sink.empty(), "the chip sends more than the golden device"
    assert not dut.busy.value
