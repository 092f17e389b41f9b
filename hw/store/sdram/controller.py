"""Controller of an SDR SDRAM chip."""

from typing import Any

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from opzo.hw.store.memory import WORD_BITS, StoreMemorySignature
from opzo.hw.store.sdram.current_command import CurrentCommand
from opzo.hw.store.sdram.parts import BANK_BITS, SdramPart
from opzo.hw.store.sdram.pins import (
    ALL_BANKS,
    CAS_LATENCY_PLACE,
    SINGLE_WRITES,
    SdramCommand,
    SdramPinsSignature,
)
from opzo.hw.store.sdram.read_queue import ReadQueue
from opzo.hw.store.sdram.refresh_timer import RefreshTimer
from opzo.hw.store.sdram.timing import SdramTiming


class SdramController(wiring.Component):
    """Execute commands on an SDRAM chip, in its open row a word a cycle.

    READ and WRITE move one word each, so a stall just issues none. One row of the chip is open, that of the last word;
    it stays open until another one is needed or the chip is refreshed. A command costs two cycles without a word, a
    row ``close`` + ``precharge`` + ``column`` - 1. A request to refresh interrupts commands, so that a
    user who stalls delays no refresh.

    A reset begins the power-up sequence again, so the content is undefined after it.

    Parameters
    ----------
    part : SdramPart
    timing : SdramTiming
        Its times at the controller's clock.
    edges : int
        Clock edges from the one that launches READ in this unit's registers to the one that takes its word from
        ``dq_i``: `read_edges`, and one more for each register between this unit and a pin of the FPGA, there or back.

    Members
    -------
    port : In(StoreMemorySignature)
        A word's address is row, bank, column and, on a bus of 32 bits, half, from the highest bit.
    pins : Out(SdramPinsSignature)
        Outputs are registers.
    """

    port: Any
    pins: Any

    def __init__(self, part: SdramPart, timing: SdramTiming, edges: int) -> None:
        self._part, self._timing, self._edges = part, timing, edges
        super().__init__(
            {"port": In(StoreMemorySignature(part.address_bits)), "pins": Out(SdramPinsSignature(part))},
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        part, timing, port, pins = self._part, self._timing, self.port, self.pins
        m.submodules.timer = timer = RefreshTimer(timing.period)
        m.submodules.queue = queue = ReadQueue(part.data_bits, self._edges)
        wiring.connect(m, queue.read, wiring.flipped(port.read))

        m.submodules.current = current = CurrentCommand(part)
        wiring.connect(m, wiring.flipped(port.command), current.command)
        # Bank and row of the open row, while the state says that one is open.
        open_row = Signal.like(current.row, reset_less=True)

        # Cycles until the next command; until PRECHARGE after ACTIVE, and after READ or WRITE; until WRITE after READ.
        wait, active_wait, close_wait, turn_wait = (
            Signal(range(most), name=name, reset_less=True)
            for name, most in (
                ("wait", max(timing.precharge, timing.refresh, timing.mode, timing.column, 2)),
                ("active_wait", max(timing.active, 2)),
                ("close_wait", max(timing.close, 2)),
                ("turn_wait", timing.turn),
            )
        )
        for counter in (wait, active_wait, close_wait, turn_wait):
            with m.If(counter != 0):
                m.d.sync += counter.eq(counter - 1)
        ready = wait == 0

        # Registers of pins that are high during a reset; `SdramCommand` has the order of the levels.
        cs_n = Signal(init=1)
        levels = Signal(3, init=SdramCommand.NOP)
        dqm = Signal(len(pins.dqm), init=-1)
        m.d.comb += [
            pins.cke.eq(1),
            pins.cs_n.eq(cs_n),
            Cat(pins.we_n, pins.cas_n, pins.ras_n).eq(levels),
            pins.dqm.eq(dqm),
        ]

        def issue(command: SdramCommand, address: Any, cycles: int) -> None:
            """Launch a command; the next one comes ``cycles`` later or after that."""
            m.d.sync += [
                cs_n.eq(0),
                levels.eq(command),
                pins.a.eq(address),
                wait.eq(cycles - 1),
            ]

        m.d.sync += [
            cs_n.eq(1),
            levels.eq(SdramCommand.NOP),
            pins.ba.eq(current.row[:BANK_BITS]),
            pins.dq_o.eq(port.write.p.replicate(part.data_bits // WORD_BITS)),
            pins.dq_oe.eq(0),
        ]
        pauses = Signal(range(max(timing.pause, timing.power_up_refreshes) + 1), init=timing.pause)
        with m.FSM():
            with m.State("POWER_UP"):
                with m.If(timer.tick):
                    m.d.sync += pauses.eq(pauses - 1)
                    with m.If(pauses == 1):
                        issue(SdramCommand.PRECHARGE, ALL_BANKS, timing.precharge)
                        m.d.sync += pauses.eq(timing.power_up_refreshes)
                        m.next = "REFRESH_FIRST"
            with m.State("REFRESH_FIRST"):
                with m.If(ready):
                    issue(SdramCommand.REFRESH, 0, timing.refresh)
                    m.d.comb += timer.done.eq(1)
                    m.d.sync += pauses.eq(pauses - 1)
                    with m.If(pauses == 1):
                        m.next = "LOAD_MODE"
            with m.State("LOAD_MODE"):
                with m.If(ready):
                    issue(SdramCommand.LOAD_MODE, SINGLE_WRITES | timing.cas_latency << CAS_LATENCY_PLACE, timing.mode)
                    m.d.sync += pins.ba.eq(0)
                    m.next = "CLOSED"
            with m.State("CLOSED"):
                m.d.sync += dqm.eq(0)
                m.d.comb += current.enable.eq(1)
                with m.If(ready):
                    with m.If(timer.due):
                        issue(SdramCommand.REFRESH, 0, timing.refresh)
                        m.d.comb += timer.done.eq(1)
                    with m.Elif(current.busy):
                        issue(SdramCommand.ACTIVE, current.row[BANK_BITS:], timing.column)
                        m.d.sync += [active_wait.eq(timing.active - 1), open_row.eq(current.row)]
                        m.next = "MOVE"
            with m.State("OPEN"):
                m.d.comb += current.enable.eq(1)
                with m.If(timer.due | (current.busy & (current.row != open_row))):
                    m.next = "CLOSE"
                with m.Elif(current.busy):
                    m.next = "MOVE"
            with m.State("MOVE"):
                with m.If(current.writes):
                    m.d.comb += [
                        port.write.ready.eq(ready & ~timer.due & (turn_wait == 0)),
                        current.move.eq(port.write.valid & port.write.ready),
                    ]
                with m.Else():
                    m.d.comb += current.move.eq(ready & ~timer.due & queue.room)
                if part.data_bits > WORD_BITS:
                    # The other half of the column is not written; a mask would also act on words that are read.
                    m.d.sync += dqm.eq(Mux(current.move & current.writes, Mux(current.upper, 0b0011, 0b1100), 0))
                with m.If(timer.due):
                    m.next = "CLOSE"
                with m.Elif(current.move):
                    # READ and WRITE differ in one pin.
                    issue(SdramCommand.READ, current.column, 1)
                    m.d.sync += [
                        levels[0].eq(~current.writes),
                        pins.dq_oe.eq(current.writes),
                        close_wait.eq(timing.close - 1),
                    ]
                    with m.If(~current.writes):
                        m.d.sync += turn_wait.eq(timing.turn - 1)
                    with m.If(current.last):
                        m.next = "OPEN"
                    with m.Elif(current.ends_row):
                        m.next = "CLOSE"
            with m.State("CLOSE"):
                with m.If((active_wait == 0) & (close_wait == 0)):
                    issue(SdramCommand.PRECHARGE, ALL_BANKS, timing.precharge)
                    m.next = "CLOSED"
        m.d.comb += [
            queue.start.eq(current.move & ~current.writes),
            queue.upper.eq(current.upper),
            queue.dq.eq(pins.dq_i),
        ]
        return m
