"""Testbench of the UART: the other end of both wires, with a clock of its own."""

from random import Random
from typing import Any

import cocotb
from cocotb.triggers import FallingEdge, ReadOnly, RisingEdge, Timer

from opzo.sim.benches import bench
from opzo.sim.benches.streams import StreamSink, StreamSource

PERIOD_NS = 10
EVERY = list(range(256))


class Line:
    """The other end: sends into ``rx_pin`` and decodes ``tx_pin``; ``rate`` is its speed against the nominal one."""

    def __init__(self, dut: Any, rate: float = 1.0) -> None:
        self._dut = dut
        self.bit_ps = round(bench.parameters()["cycles"] * PERIOD_NS * 1000 / rate)
        self.sent: list[int] = []
        dut.rx_pin.value = 1
        cocotb.start_soon(self._watch())

    async def send(self, byte: int, *, stop: int = 1) -> None:
        for bit in (0, *(byte >> n & 1 for n in range(8)), stop):
            self._dut.rx_pin.value = bit
            await Timer(self.bit_ps, "ps")
        self._dut.rx_pin.value = 1

    async def pause(self, bits: float) -> None:
        await Timer(round(self.bit_ps * bits), "ps")

    async def pulse(self, bits: float) -> None:
        """A low pulse."""
        self._dut.rx_pin.value = 0
        await self.pause(bits)
        self._dut.rx_pin.value = 1

    async def _watch(self) -> None:
        """Decode what the UART sends; a missing stop bit fails the test."""
        while True:
            await FallingEdge(self._dut.tx_pin)
            await self.pause(0.5)
            assert not self._dut.tx_pin.value, "start bit too short"
            byte = 0
            for n in range(8):
                await self.pause(1)
                byte |= int(self._dut.tx_pin.value) << n
            await self.pause(1)
            assert self._dut.tx_pin.value, "stop bit is low"
            self.sent.append(byte)


class Errors:
    """Counts of the error strobes."""

    def __init__(self, dut: Any) -> None:
        self.framing = self.overrun = 0
        self._dut = dut
        cocotb.start_soon(self._count())

    async def _count(self) -> None:
        while True:
            await RisingEdge(self._dut.clk)
            self.framing += int(self._dut.framing.value)
            self.overrun += int(self._dut.overrun.value)


async def begin(dut: Any, rate: float = 1.0) -> tuple[Line, StreamSource, StreamSink, Errors, Random]:
    rng = Random(bench.seed())
    source = StreamSource(dut, dut.clk, "tx", rng)
    sink = StreamSink(dut, dut.clk, "rx", rng)
    line = Line(dut, rate)
    await bench.start(dut)
    # The line and the UART's clock have no common edges.
    await Timer(rng.randrange(PERIOD_NS * 1000), "ps")
    return line, source, sink, Errors(dut), rng


def order(rng: Random) -> list[int]:
    """All bytes, the corners first."""
    rest = [byte for byte in EVERY if byte not in (0x00, 0xFF, 0x55, 0xAA)]
    rng.shuffle(rest)
    return [0x00, 0xFF, 0x55, 0xAA, *rest]


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def receives_back_to_back_at_any_rate(dut: Any) -> None:
    line, _, sink, errors, rng = await begin(dut)
    nominal = line.bit_ps
    for rate in (1.0, 0.98, 1.02):
        line.bit_ps = round(nominal / rate)
        wanted = order(rng)
        for byte in wanted:
            await line.send(byte)
        assert await sink.receive_all(256) == wanted, f"at {rate} of the rate"
    assert errors.framing == errors.overrun == 0


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def receives_with_pauses(dut: Any) -> None:
    line, _, sink, errors, rng = await begin(dut)
    wanted = order(rng)
    for byte in wanted:
        await line.send(byte)
        await line.pause(rng.random() * 3)
    assert await sink.receive_all(256) == wanted
    assert errors.framing == errors.overrun == 0


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def sends_back_to_back(dut: Any) -> None:
    line, source, _, _, rng = await begin(dut)
    wanted = order(rng)
    start = cocotb.utils.get_sim_time("ps")
    await source.send_all(wanted)
    await line.pause(11)
    assert line.sent == wanted
    # The last byte was taken one byte before its end; the rate is right to 0.2 %, without gaps.
    taken = cocotb.utils.get_sim_time("ps") - start - 11 * line.bit_ps
    assert abs(taken / (255 * 10 * line.bit_ps) - 1) < 0.004


@cocotb.test(timeout_time=40, timeout_unit="ms")
async def sends_with_stalls(dut: Any) -> None:
    line, source, _, _, rng = await begin(dut)
    source.stall = 0.99
    wanted = order(rng)
    await source.send_all(wanted)
    await line.pause(11)
    assert line.sent == wanted


@cocotb.test(timeout_time=5, timeout_unit="ms")
async def both_ways_at_once(dut: Any) -> None:
    line, source, sink, errors, rng = await begin(dut)
    there, back = order(rng), order(rng)
    task = cocotb.start_soon(source.send_all(there))
    for byte in back:
        await line.send(byte)
    await task
    await line.pause(11)
    assert line.sent == there
    assert await sink.receive_all(256) == back
    assert errors.framing == errors.overrun == 0


@cocotb.test(timeout_time=5, timeout_unit="ms")
async def flags_framing_errors_and_recovers(dut: Any) -> None:
    line, _, sink, errors, rng = await begin(dut)
    for count in range(1, 20):
        await line.send(rng.getrandbits(8), stop=0)
        await line.pause(rng.random() * 2 + 0.5)
        assert errors.framing == count
        good = rng.getrandbits(8)
        await line.send(good)
        assert await sink.receive() == good
    # A break is one error, however long.
    await line.pulse(57)
    await line.pause(2)
    assert errors.framing == 20
    await line.send(0x5A)
    assert await sink.receive() == 0x5A
    assert len(sink) == errors.overrun == 0


@cocotb.test(timeout_time=5, timeout_unit="ms")
async def ignores_noise(dut: Any) -> None:
    line, _, sink, errors, rng = await begin(dut)
    for n in range(40):
        # Up to what may look like half a bit with an edge that is seen a cycle late.
        await line.pulse((0.05 + 0.9 * rng.random()) * (0.5 - 1 / bench.parameters()["cycles"]))
        await line.pause(1)
        if n % 4 == 3:
            await line.send(n)
            assert await sink.receive() == n
    assert len(sink) == errors.framing == errors.overrun == 0


@cocotb.test(timeout_time=5, timeout_unit="ms")
async def loses_bytes_that_find_no_room(dut: Any) -> None:
    line, _, sink, errors, _ = await begin(dut)
    sink.stall = 1.0
    await line.send(0x11)
    await line.pause(5)
    assert errors.overrun == 0
    sink.stall = 0.0
    assert await sink.receive() == 0x11
    sink.stall = 1.0
    for byte in (0x22, 0x33, 0x44):
        await line.send(byte)
    await line.pause(1)
    assert errors.overrun == 2
    sink.stall = 0.0
    assert await sink.receive() == 0x22
    await line.send(0x55)
    assert await sink.receive() == 0x55
    assert errors.overrun == 2


@cocotb.test(timeout_time=5, timeout_unit="ms")
async def reset_in_the_middle(dut: Any) -> None:
    line, source, sink, errors, rng = await begin(dut)
    for _ in range(10):
        source.put(0)
        task = cocotb.start_soon(line.send(0x0F))
        await line.pause(1 + 8 * rng.random())
        await FallingEdge(dut.clk)
        dut.rst.value = 1
        await FallingEdge(dut.clk)
        await ReadOnly()
        assert dut.tx_pin.value, "reset must end what is sent"
        await FallingEdge(dut.clk)
        await task
        await line.pause(10)
        dut.rst.value = 0
        sink.clear()
        line.sent.clear()
        wanted = rng.getrandbits(8)
        source.put(wanted)
        await line.send(wanted)
        await line.pause(12)
        assert await sink.receive() == wanted
        assert line.sent[-1] == wanted
    assert errors.overrun == 0
