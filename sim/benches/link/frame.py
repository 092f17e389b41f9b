"""Testbenches of frame receiver, sender and arbiter, against ``opzo.spec.protocol``."""

import zlib
from random import Random
from typing import Any

import cocotb
from cocotb.triggers import ClockCycles, FallingEdge, ReadOnly

from opzo.hw.lib.slip import DECODED, ENCODED
from opzo.hw.link.frame import RECEIVED, REPLY_HEADER
from opzo.sim.benches.bench import parameters, seed, start
from opzo.sim.benches.streams import StreamSink, StreamSource, unpack
from opzo.spec.frames import CRC, MAX_PAYLOAD, OVERHEAD, Frame, Unescape


def body_of(frame: Frame) -> bytes:
    """Unescaped bytes of a frame."""
    (body,) = Unescape().feed(frame.encode())
    assert body is not None
    return body


def bodies(rng: Random) -> list[tuple[bytes, bool]]:
    """Bodies to receive, and for each whether it contains an invalid escape."""
    sizes = [0, 1, 2, 3, 4, 5, MAX_PAYLOAD - 1, MAX_PAYLOAD, MAX_PAYLOAD + 1, MAX_PAYLOAD + 4, 2030, 2043, 2044, 2100]
    frames = [Frame(rng.randrange(256), rng.randrange(256), rng.randbytes(size)) for size in sizes]
    frames += [Frame(rng.randrange(256), rng.randrange(256), rng.randbytes(rng.randrange(40))) for _ in range(60)]
    result = [(body_of(frame), False) for frame in frames]
    for body, _ in result[:]:
        if len(body) > 60:
            continue
        where = rng.randrange(len(body))
        result += [
            (body, True),
            (body[:where], False),
            (body[:where] + bytes((body[where] ^ 1 << rng.randrange(8),)) + body[where + 1 :], False),
            (body + b"\0", False),
            (with_size(body, len(body) - OVERHEAD + rng.choice((-1, 1, 256, 1 << 15))), False),
        ]
    rng.shuffle(result)
    return [(body, corrupt) for body, corrupt in result if body]


def with_size(body: bytes, size: int) -> bytes:
    """``body`` with another length field and a matching CRC."""
    changed = (size % (1 << 16)).to_bytes(2, "little") + body[2 : -CRC.size]
    return changed + CRC.pack(zlib.crc32(changed))


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def receives_only_whole_frames(dut: Any) -> None:
    stall = parameters()["stall"]
    rng = Random(seed())
    source = StreamSource(dut, dut.clk, "i", rng, stall, shape=DECODED)
    # Takes a frame only after its payload has been read.
    taker = StreamSink(dut, dut.clk, "frame", rng, 1.0, shape=RECEIVED)
    payload = StreamSink(dut, dut.clk, "payload", rng, stall)
    await start(dut)
    good = 0
    for body, corrupt in bodies(rng):
        items = [{"data": byte, "end": 0, "corrupt": 0} for byte in body]
        events = [source.put(item) for item in [*items, {"data": 0, "end": 1, "corrupt": int(corrupt)}]]
        await events[-1].wait()
        while True:
            await FallingEdge(dut.clk)
            await ReadOnly()
            if dut.frame__valid.value:
                break
        offered = unpack(RECEIVED, dut.frame__payload.value.to_unsigned())
        frame = None if corrupt or len(body) > MAX_PAYLOAD + OVERHEAD else Frame.decode(body)
        assert offered["good"] == (frame is not None), f"{body.hex(' ')} corrupt {corrupt}"
        if frame is not None:
            good += 1
            assert (offered["size"], offered["seq"], offered["code"]) == (len(frame.data), frame.seq, frame.code)
            assert bytes(await payload.receive_all(len(frame.data))) == frame.data
        await ClockCycles(dut.clk, 10)
        assert len(payload) == 0, "more payload than in the frame"
        taker.stall = 0.0
        await taker.receive()
        taker.stall = 1.0
    assert good >= 60


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def sends_frames(dut: Any) -> None:
    stall = parameters()["stall"]
    rng = Random(seed())
    header = StreamSource(dut, dut.clk, "reply__header", rng, stall, shape=REPLY_HEADER)
    payload = StreamSource(dut, dut.clk, "reply__payload", rng, stall)
    sink = StreamSink(dut, dut.clk, "o", rng, stall, shape=ENCODED)
    await start(dut)
    sizes = [0, 1, 2, 255, 256, 257, 3000] + [rng.randrange(40) for _ in range(60)]
    for size in sizes:
        frame = Frame(rng.randrange(256), rng.randrange(256), rng.randbytes(size))
        taken = header.put({"size": size, "seq": frame.seq, "code": frame.code})
        # The payload may arrive later than the header, or before it.
        for byte in frame.data:
            payload.put(byte)
        items = await sink.receive_all(size + OVERHEAD)
        assert not taken.is_set(), "the header was taken before the frame was sent"
        assert not any(item["end"] for item in items)
        assert bytes(item["data"] for item in items) == body_of(frame)
        assert (await sink.receive())["end"]
        await taken.wait()


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def keeps_frames_of_two_sources_apart(dut: Any) -> None:
    """A sender in the testbench takes frames from the arbiter; each is complete and each source keeps its order."""
    stall = parameters()["stall"]
    rng = Random(seed())
    frames: dict[str, list[bytes]] = {}

    async def offer(code: int, name: str) -> None:
        header = StreamSource(dut, dut.clk, f"{name}__header", rng, stall, shape=REPLY_HEADER)
        payload = StreamSource(dut, dut.clk, f"{name}__payload", rng, stall)
        for data in list(frames[name]):
            taken = header.put({"size": len(data), "seq": 0, "code": code})
            for byte in data:
                payload.put(byte)
            await taken.wait()

    for code, name in enumerate(("first", "second")):
        frames[name] = [bytes((code,)) + rng.randbytes(rng.randrange(10)) for _ in range(60)]
        cocotb.start_soon(offer(code, name))
    header_sink = StreamSink(dut, dut.clk, "o__header", rng, 1.0, shape=REPLY_HEADER)
    payload_sink = StreamSink(dut, dut.clk, "o__payload", rng, 1.0)
    await start(dut)
    for _ in range(120):
        while True:
            await FallingEdge(dut.clk)
            await ReadOnly()
            if dut.o__header__valid.value:
                break
        header = unpack(REPLY_HEADER, dut.o__header__payload.value.to_unsigned())
        name = list(frames)[header["code"]]
        expected = frames[name].pop(0)
        assert header["size"] == len(expected)
        data = b""
        while len(data) < len(expected):
            # One byte at a time, so that the sink does not take bytes of the next frame.
            payload_sink.stall = 0.0
            data += bytes((await payload_sink.receive(),))
            payload_sink.stall = 1.0
        assert data == expected
        header_sink.stall = 0.0
        assert await header_sink.receive() == header
        header_sink.stall = 1.0
    assert frames == {"first": [], "second": []}
