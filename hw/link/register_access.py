"""Registers through the link: READ_REGISTERS and WRITE_REGISTERS."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from opzo.hw.lib.words import BytesToWords, WordsToBytes
from opzo.hw.link.executor import ExecutorSignature, fields
from opzo.hw.timing import REGISTER_CYCLES
from opzo.spec.commands import Command, Status


class RegisterAccess(wiring.Component):
    """Execute READ_REGISTERS and, as second command, WRITE_REGISTERS.

    Members
    -------
    command : In(ExecutorSignature)
        From the command processor, only while the engine is idle.
    addr, w_data, w_en, r_data
        Register port of the core; read data are valid REGISTER_CYCLES after the address.
    """

    command: In(ExecutorSignature())
    addr: Out(8)
    w_data: Out(32)
    w_en: Out(1)
    r_data: In(32)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.to_words = to_words = BytesToWords(4)
        m.submodules.to_bytes = to_bytes = WordsToBytes(4)
        command, is_write = self.command, self.command.is_second
        read, write = (fields(command.operands, each) for each in (Command.READ_REGISTERS, Command.WRITE_REGISTERS))
        connect(m, to_bytes.o, flipped(command.reply))
        remaining = Signal.like(read.count)
        good = Signal()
        # One bit for each cycle until the read data are valid.
        fetching = Signal(REGISTER_CYCLES - 1)
        m.d.comb += [
            command.status.eq(Mux(good, Status.OK, Status.BAD_LENGTH)),
            command.reply_size.eq(Mux(good & ~is_write, read.count << 2, 0)),
            to_words.i.p.eq(command.payload.p),
            self.w_data.eq(to_words.o.p),
            to_bytes.i.p.word.eq(self.r_data),
            to_bytes.i.p.last.eq(3),
        ]
        # Registered: the operands are complete some cycles before ``start``.
        m.d.sync += good.eq(
            ~command.short & Mux(is_write, command.size[:2] == 0, (command.size == 0) & (read.count != 0))
        )
        m.d.sync += fetching.eq(fetching << 1 | 1)
        with m.FSM() as fsm:
            with m.State("WAIT"):
                m.d.sync += [
                    self.addr.eq(Mux(is_write, write.address, read.address)),
                    remaining.eq(Mux(is_write, command.size >> 2, read.count)),
                ]
                with m.If(command.start):
                    m.next = "DECIDE"
            with m.State("DECIDE"):
                m.d.sync += fetching.eq(0)
                m.d.comb += command.done.eq(~is_write | ~good)
                m.next = "WAIT"
                with m.If(good):
                    m.next = "FETCH"
                    with m.If(is_write):
                        m.next = "WRITE"
            with m.State("FETCH"):
                with m.If(fetching[-1]):
                    m.next = "READ"
            with m.State("READ"):
                m.d.sync += fetching.eq(0)
                m.d.comb += to_bytes.i.valid.eq(1)
                with m.If(to_bytes.i.ready):
                    m.d.sync += [self.addr.eq(self.addr + 1), remaining.eq(remaining - 1)]
                    m.next = "FETCH"
                    with m.If(remaining == 1):
                        m.next = "WAIT"
            with m.State("WRITE"):
                m.d.comb += [
                    to_words.i.valid.eq(command.payload.valid),
                    command.payload.ready.eq(to_words.i.ready),
                    to_words.o.ready.eq(1),
                    self.w_en.eq(to_words.o.valid),
                ]
                with m.If(to_words.o.valid):
                    m.d.sync += [self.addr.eq(self.addr + 1), remaining.eq(remaining - 1)]
                with m.If(remaining == 0):
                    m.d.comb += command.done.eq(1)
                    m.next = "WAIT"
        m.d.comb += command.busy.eq(~fsm.ongoing("WAIT"))
        return m
