"""Testbenches of the byte layer against ``opzo.spec.protocol``."""

from random import Random
from typing import Any

import cocotb
from cocotb.triggers import ClockCycles

from opzo.hw.lib.slip import DECODED, ENCODED
from opzo.sim.benches.bench import parameters, seed, start
from opzo.sim.benches.streams import StreamSink, StreamSource
from opzo.spec.frames import END, ESC, ESC_END, ESC_ESC, Frame, Unescape

CORNERS = (
    b"",
    bytes((END, END, END)),
    bytes((ESC, END)),
    bytes((ESC, ESC, END)),
    bytes((ESC, ESC, ESC_ESC, END)),
    bytes((ESC, 0, 1, END, 2, END)),
    bytes((ESC, ESC_END, END)),
    bytes((ESC, ESC_ESC, ESC, ESC_END, ESC_END, ESC_ESC, END)),
    bytes((ESC, ESC_ESC, ESC_END, END)),
    bytes((1, END, END, 2, END)),
    bytes((1, ESC, END, END, ESC, 3, END)),
)


@cocotb.test(timeout_time=5, timeout_unit="ms")
async def decodes_anything_like_the_specification(dut: Any) -> None:
    stall = parameters()["stall"]
    rng = Random(seed())
    source = StreamSource(dut, dut.clk, "i", rng, stall)
    sink = StreamSink(dut, dut.clk, "o", rng, stall, shape=DECODED)
    await start(dut)
    wires = list(CORNERS)
    wires += [Frame(1, 2, rng.randbytes(rng.randrange(20))).encode() for _ in range(50)]
    wires += [bytes(rng.choices((END, ESC, ESC_END, ESC_ESC, 0, 255), k=rng.randrange(30))) for _ in range(300)]
    wire = b"".join(wires) + bytes((END,))
    await source.send_all(wire)
    await ClockCycles(dut.clk, 20 if stall == 0 else 200)
    bodies: list[bytes | None] = []
    body = bytearray()
    for item in await sink.receive_all(len(sink)):
        if item["end"]:
            bodies.append(None if item["corrupt"] else bytes(body))
            body.clear()
        else:
            body.append(item["data"])
    assert bodies == Unescape().feed(wire)
    assert None in bodies
    assert not body


@cocotb.test(timeout_time=5, timeout_unit="ms")
async def encodes_what_the_specification_decodes(dut: Any) -> None:
    stall = parameters()["stall"]
    rng = Random(seed())
    source = StreamSource(dut, dut.clk, "i", rng, stall, shape=ENCODED)
    sink = StreamSink(dut, dut.clk, "o", rng, stall)
    await start(dut)
    bodies = [bytes((byte,)) for byte in (END, ESC, ESC_END, ESC_ESC, 0)]
    bodies += [bytes(rng.choices((END, ESC, ESC_END, ESC_ESC, 7), k=rng.randint(1, 30))) for _ in range(100)]
    expected = b""
    for body in bodies:
        expected += bytes((END,))
        for byte in body:
            expected += {END: bytes((ESC, ESC_END)), ESC: bytes((ESC, ESC_ESC))}.get(byte, bytes((byte,)))
        expected += bytes((END,))
    await source.send_all(
        item
        for body in bodies
        for item in [*({"data": b, "end": 0} for b in body), {"data": rng.choice(body), "end": 1}]
    )
    assert bytes(await sink.receive_all(len(expected))) == expected
    assert Unescape().feed(expected) == bodies
