"""Masters of the buses in a testbench, with the same methods: the kept models of each bus, with random stalls."""

import logging
from collections.abc import Iterator, Sequence
from random import Random
from typing import Any

import cocotb
from cocotb.triggers import RisingEdge, with_timeout
from cocotbext.axi import (
    AxiLiteBus,
    AxiLiteMaster,
    AxiResp,
    AxiStreamBus,
    AxiStreamFrame,
    AxiStreamSink,
    AxiStreamSource,
)
from cocotbext.wishbone.driver import WBOp, WishboneMaster

from opzo.spec.bus import RESULT_FIELDS, StatusBit, address_of

TIMEOUT_US = 20_000
"""Simulated time after which an access fails: two million cycles at 10 ns."""
BYTES = 4
ACK, ERR = 1, 2
"""How a slave of Wishbone ends a cycle, as the kept model counts."""


def stalls(rng: Random, stall: float) -> Iterator[bool]:
    """Whether to pause, cycle by cycle: with probability ``stall``."""
    while True:
        yield rng.random() < stall


class Axi:
    """AXI4-Lite and both AXI4-Streams of a design.

    Parameters
    ----------
    dut : cocotb handle
    clock, reset : cocotb handles
        ``reset`` is active at ``active``.
    rng : random.Random
        Source of the stalls.
    stall : float
        Share of the cycles in which a side of a channel pauses.

    Attributes
    ----------
    taken : int
        Words of samples that the design has taken.
    """

    def __init__(self, dut: Any, clock: Any, reset: Any, active: bool, rng: Random, stall: float) -> None:
        # The model reports every access.
        logging.getLogger(f"cocotb.{dut._name}").setLevel(logging.WARNING)
        self._dut, self._clock = dut, clock
        self._master = AxiLiteMaster(AxiLiteBus.from_prefix(dut, "s_axi"), clock, reset, active)
        self.source = AxiStreamSource(AxiStreamBus.from_prefix(dut, "s_axis"), clock, reset, active)
        self._sink = AxiStreamSink(AxiStreamBus.from_prefix(dut, "m_axis"), clock, reset, active)
        self.taken = 0
        write, read = self._master.write_if, self._master.read_if
        channels = (write.aw_channel, write.w_channel, write.b_channel, read.ar_channel, read.r_channel)
        if stall:
            for channel in (*channels, self.source, self._sink):
                channel.set_pause_generator(stalls(Random(rng.random()), stall))
        cocotb.start_soon(self._count())

    async def _count(self) -> None:
        dut = self._dut
        while True:
            await RisingEdge(self._clock)
            self.taken += int(dut.s_axis_tvalid.value) & int(dut.s_axis_tready.value)

    async def read(self, address: int) -> int | None:
        """Word at ``address``; None for an error."""
        answer = await with_timeout(self._master.read(address, BYTES), TIMEOUT_US, "us")
        return int.from_bytes(answer.data, "little") if answer.resp is AxiResp.OKAY else None

    async def write(self, address: int, value: int, size: int = BYTES) -> bool:
        """Write the low ``size`` bytes of a word; whether that was done."""
        data = value.to_bytes(BYTES, "little")[:size]
        answer = await with_timeout(self._master.write(address, data), TIMEOUT_US, "us")
        return bool(answer.resp is AxiResp.OKAY)

    async def send(self, words: Sequence[int]) -> None:
        """Queue a sample."""
        await self.source.send(AxiStreamFrame(b"".join(word.to_bytes(BYTES, "little") for word in words)))

    async def receive(self) -> list[int]:
        """Next result."""
        frame = await with_timeout(self._sink.recv(), TIMEOUT_US, "us")
        data = bytes(frame.tdata)
        return [int.from_bytes(data[n : n + BYTES], "little") for n in range(0, len(data), BYTES)]


class Wishbone:
    """Wishbone, with samples and results through registers; parameters as those of `Axi`."""

    def __init__(self, dut: Any, clock: Any, reset: Any, active: bool, rng: Random, stall: float) -> None:
        self._rng, self._stall = rng, stall
        signals = {"cyc": "cyc_i", "stb": "stb_i", "we": "we_i", "adr": "adr_i", "datwr": "dat_i", "datrd": "dat_o"}
        signals |= {"ack": "ack_o", "err": "err_o", "sel": "sel_i"}
        self._master = WishboneMaster(dut, "wb", clock, width=32, timeout=200_000, signals_dict=signals)

    async def _access(self, operation: WBOp) -> Any:
        while self._rng.random() < self._stall:
            operation.idle += 1
        (answer,) = await self._master.send_cycle([operation])
        assert answer.ack in (ACK, ERR), f"the cycle ended with {answer.ack}"
        return answer

    async def read(self, address: int) -> int | None:
        """Word at ``address``; None for an error."""
        answer = await self._access(WBOp(address))
        return int(answer.datrd) if answer.ack == ACK else None

    async def write(self, address: int, value: int, size: int = BYTES) -> bool:
        """Write the low ``size`` bytes of a word; whether that was done."""
        answer = await self._access(WBOp(address, value, sel=(1 << size) - 1))
        return bool(answer.ack == ACK)

    async def send(self, words: Sequence[int]) -> None:
        """Write a sample, once there is room for its result."""
        *events, last = words
        for word in events:
            assert await self.write(address_of("SAMPLE"), word)
        await self.wait(StatusBit.ROOM)
        assert await self.write(address_of("RUN"), last)

    async def receive(self) -> list[int]:
        """Next result."""
        words = [await self._word()]
        for _ in range(RESULT_FIELDS[3].of(words[0])):
            words.append(await self._word())
        return words

    async def _word(self) -> int:
        await self.wait(StatusBit.RESULT)
        word = await self.read(address_of("RESULT"))
        assert word is not None
        assert await self.write(address_of("RESULT_TAKE"), 0)
        return word

    async def wait(self, bit: StatusBit) -> None:
        """Read STATUS until ``bit`` is 1."""
        for _ in range(100_000):
            status = await self.read(address_of("STATUS"))
            if status is not None and status >> bit & 1:
                return
        raise AssertionError(f"{bit.name} stays 0")
