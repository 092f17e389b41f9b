"""Controller of an SDR SDRAM chip."""

from typing import Any

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from opzo.hw.store.memory import MOST_WORDS, WORD_BITS, StoreMemorySignature
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
    row ``close`` + ``precharge`` + ``column`` cycles or a few more. A request to refresh interrupts commands, so that a
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

        # The command that is executed: next column, its bank and row, words left.
        busy = Signal()
        writes = Signal(reset_less=True)
        half_bits = part.address_bits - part.row_bits - BANK_BITS - part.column_bits
        column = Signal(part.column_bits + half_bits, reset_less=True)
        row = Signal(part.row_bits + BANK_BITS, reset_less=True)
        left = Signal(range(MOST_WORDS + 1), reset_less=True)
        # Bank and row of the open row, while FSM states say that one is open.
        open_row = Signal.like(row)

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

        def issue(command: SdramCommand, address: Any, cycles: int) -> None:
            """Launch a command; the next one comes ``cycles`` later or after that."""
            m.d.sync += [
                pins.cs_n.eq(0),
                Cat(pins.we_n, pins.cas_n, pins.ras_n).eq(command),
                pins.a.eq(address),
                wait.eq(cycles - 1),
            ]

        m.d.comb += pins.cke.eq(1)
        m.d.sync += [
            pins.cs_n.eq(1),
            Cat(pins.we_n, pins.cas_n, pins.ras_n).eq(SdramCommand.NOP),
            pins.ba.eq(row[:BANK_BITS]),
            pins.dq_o.eq(port.write.p.replicate(part.data_bits // WORD_BITS)),
            pins.dq_oe.eq(0),
        ]
        with m.If(port.command.valid & port.command.ready):
            command = port.command.p
            m.d.sync += [
                Cat(column, row).eq(command.address),
                left.eq(command.words),
                writes.eq(command.write),
                busy.eq(1),
            ]
        moves = Signal()
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
                m.d.sync += pins.dqm.eq(0)
                m.d.comb += port.command.ready.eq(~busy)
                with m.If(ready):
                    with m.If(timer.due):
                        issue(SdramCommand.REFRESH, 0, timing.refresh)
                        m.d.comb += timer.done.eq(1)
                    with m.Elif(busy):
                        issue(SdramCommand.ACTIVE, row[BANK_BITS:], timing.column)
                        m.d.sync += [active_wait.eq(timing.active - 1), open_row.eq(row)]
                        m.next = "MOVE"
            with m.State("OPEN"):
                m.d.comb += port.command.ready.eq(~busy)
                with m.If(timer.due | (busy & (row != open_row))):
                    m.next = "CLOSE"
                with m.Elif(busy):
                    m.next = "MOVE"
            with m.State("MOVE"):
                with m.If(writes):
                    m.d.comb += [
                        port.write.ready.eq(ready & ~timer.due & (turn_wait == 0)),
                        moves.eq(port.write.valid & port.write.ready),
                    ]
                with m.Else():
                    m.d.comb += [moves.eq(ready & ~timer.due & queue.room), queue.start.eq(moves)]
                if half_bits:
                    # The other half of the word is not written; a mask would also act on words that are read.
                    m.d.sync += pins.dqm.eq(Mux(moves & writes, Mux(column[0], 0b0011, 0b1100), 0))
                with m.If(timer.due):
                    m.next = "CLOSE"
                with m.Elif(moves):
                    # READ and WRITE differ in one pin.
                    issue(SdramCommand.READ, column[half_bits:], 1)
                    m.d.sync += [
                        pins.we_n.eq(~writes),
                        pins.dq_oe.eq(writes),
                        Cat(column, row).eq(Cat(column, row) + 1),
                        left.eq(left - 1),
                        close_wait.eq(timing.close - 1),
                    ]
                    with m.If(~writes):
                        m.d.sync += turn_wait.eq(timing.turn - 1)
                    with m.If(left == 1):
                        m.d.sync += busy.eq(0)
                        m.next = "OPEN"
                    with m.Elif(column.all()):
                        m.next = "CLOSE"
            with m.State("CLOSE"):
                with m.If((active_wait == 0) & (close_wait == 0)):
                    issue(SdramCommand.PRECHARGE, ALL_BANKS, timing.precharge)
                    m.next = "CLOSED"
        m.d.comb += queue.upper.eq(column[0] if half_bits else 0)
        m.d.comb += queue.dq.eq(pins.dq_i)
        return m
