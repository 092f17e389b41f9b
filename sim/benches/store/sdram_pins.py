"""Connects the model of an SDRAM chip to the pins of a design, with delays."""

from heapq import heappop, heappush
from random import Random
from typing import Any

import cocotb
from cocotb.triggers import Event, FallingEdge, Timer
from cocotb.utils import get_sim_time

from opzo.hw.store.sdram.timing import PinDelays
from opzo.sim.benches.store.sdram_chip import Pins, SdramChip


class SdramPins:
    """The chip at the pins ``PREFIX__cs_n`` and so on of a design with clock ``clk``.

    A word that is read is at ``dq_i`` only while it is valid there; at other times there are random levels.

    Parameters
    ----------
    dut : cocotb handle
    prefix : str
    chip : SdramChip
    delays : PinDelays
        Of the pins. Those of ``dq_i`` include setup and hold time of the register, so its words are late and end soon.
    rng : random.Random
    """

    def __init__(self, dut: Any, prefix: str, chip: SdramChip, delays: PinDelays, rng: Random) -> None:
        self.chip = chip
        self._dut, self._delays, self._rng = dut, delays, rng
        names = ("cke", "cs_n", "ras_n", "cas_n", "we_n", "ba", "a", "dqm", "dq_o", "dq_oe", "dq_i")
        self._pins = {name: getattr(dut, f"{prefix}__{name}") for name in names}
        self._levels: list[tuple[float, int | None]] = []
        self._more = Event()
        self._pins["dq_i"].value = 0
        cocotb.start_soon(self._watch())
        cocotb.start_soon(self._answer())

    async def _watch(self) -> None:
        """Give the chip the levels that each clock edge launches. They are read half a cycle later, while stable."""
        clk, pins, chip, delays = self._dut.clk, self._pins, self.chip, self._delays
        driven = 0
        while True:
            await FallingEdge(clk)
            cs_n, oe = int(pins["cs_n"].value), int(pins["dq_oe"].value)
            launched = get_sim_time("ps") / 1000 - chip.period / 2
            if oe != driven:
                chip.bus(launched + delays.output[0 if oe else 1], oe)
                driven = oe
            if cs_n and not oe:
                await FallingEdge(pins["cs_n"])
                continue
            read = {name: int(pins[name].value) for name in ("ba", "a", "dqm", "cke")}
            command = int(pins["ras_n"].value) << 2 | int(pins["cas_n"].value) << 1 | int(pins["we_n"].value)
            levels = Pins(cs_n=cs_n, command=command, dq=int(pins["dq_o"].value), dq_oe=oe, **read)
            drive = chip.edge(launched + delays.clock[0], levels)
            if drive is not None:
                late = delays.clock[1] - delays.clock[0] + delays.input[1]
                heappush(self._levels, (drive.valid + late, drive.word))
                heappush(self._levels, (drive.invalid + delays.input[0], None))
                self._more.set()

    async def _answer(self) -> None:
        """Drive ``dq_i``."""
        dq_i = self._pins["dq_i"]
        width = len(dq_i)
        while True:
            if not self._levels:
                self._more.clear()
                await self._more.wait()
            time, word = heappop(self._levels)
            wait = round(time * 1000 - get_sim_time("ps"))
            if wait > 0:
                await Timer(wait, "ps")
            dq_i.value = self._rng.getrandbits(width) if word is None else word
