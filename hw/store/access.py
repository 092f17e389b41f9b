"""Sample store through the link: READ_STORE and WRITE_STORE."""

from typing import Any

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from opzo.hw.lib.words import BytesToWords, WordsToBytes
from opzo.hw.link.executor import ExecutorSignature, fields
from opzo.hw.store.memory import WORD_BITS, command_layout
from opzo.hw.store.word_reader import ReadSignature
from opzo.spec.commands import Command, Status
from opzo.spec.limits import Limits

WORD_BYTES = WORD_BITS // 8


class StoreAccess(wiring.Component):
    """Execute READ_STORE and, as second command, WRITE_STORE.

    Parameters
    ----------
    limits : Limits
        Limits of the device.

    Members
    -------
    command : In(ExecutorSignature)
        From the command processor, only while nothing else uses the store.
    read : Out(ReadSignature)
    write_command, write : Out(stream)
        Write commands and words of `StoreMemorySignature`.
    """

    command: Any
    read: Any
    write_command: Any
    write: Any

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        bits = limits.store_bits
        super().__init__(
            {
                "command": In(ExecutorSignature()),
                "read": Out(ReadSignature(bits)),
                "write_command": Out(stream.Signature(command_layout(bits))),
                "write": Out(stream.Signature(WORD_BITS)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.to_words = to_words = BytesToWords(WORD_BYTES)
        m.submodules.to_bytes = to_bytes = WordsToBytes(WORD_BYTES)
        command, read = self.command, self.read
        is_write = command.is_second
        asked, given = (fields(command.operands, each) for each in (Command.READ_STORE, Command.WRITE_STORE))
        connect(m, to_bytes.o, flipped(command.reply))
        connect(m, to_words.o, flipped(self).write)
        size = Signal(16)
        address = Signal(32)
        end = Signal(33)
        bad_length = Signal()
        status = Signal.like(command.status)
        left = Signal(16)
        m.d.sync += [
            address.eq(Mux(is_write, given.address, asked.address)),
            size.eq(Mux(is_write, command.size, asked.bytes)),
            bad_length.eq(command.short | (~is_write & (command.size != 0)) | (size == 0) | size[0]),
            end.eq(address + size),
            status.eq(Status.OK),
        ]
        with m.If(bad_length):
            m.d.sync += status.eq(Status.BAD_LENGTH)
        with m.Elif(address[0] | (end > self._limits.store)):
            m.d.sync += status.eq(Status.BAD_ADDRESS)
        good = status == Status.OK
        word_sent = Signal()
        m.d.comb += [
            command.status.eq(status),
            command.reply_size.eq(Mux(good & ~is_write, size, 0)),
            read.address.eq(address >> 1),
            read.words.eq(size >> 1),
            self.write_command.p.address.eq(address >> 1),
            self.write_command.p.words.eq(size >> 1),
            self.write_command.p.write.eq(1),
            to_words.i.p.eq(command.payload.p),
            to_bytes.i.p.word.eq(read.data.p.word),
            to_bytes.i.p.last.eq(WORD_BYTES - 1),
            word_sent.eq(self.write.valid & self.write.ready),
        ]
        with m.If(word_sent):
            m.d.sync += left.eq(left - 1)
        with m.FSM() as fsm:
            with m.State("WAIT"):
                with m.If(command.start):
                    m.next = "SIZE"
            # Registers follow each other: size and address, then what is wrong with them, then the status.
            with m.State("SIZE"):
                m.next = "SUM"
            with m.State("SUM"):
                m.next = "CHECK"
            with m.State("CHECK"):
                m.next = "DECIDE"
            with m.State("DECIDE"):
                m.d.sync += left.eq(size >> 1)
                m.d.comb += command.done.eq(~is_write | ~good)
                m.next = "WAIT"
                with m.If(good & is_write):
                    m.next = "COMMAND"
                with m.Elif(good):
                    m.d.comb += read.start.eq(1)
                    m.next = "READ"
            with m.State("READ"):
                m.d.comb += [to_bytes.i.valid.eq(read.data.valid), read.data.ready.eq(to_bytes.i.ready)]
                with m.If(read.data.valid & read.data.ready & read.data.p.last):
                    m.next = "SEND"
            with m.State("SEND"):
                with m.If(~to_bytes.o.valid):
                    m.next = "WAIT"
            with m.State("COMMAND"):
                m.d.comb += self.write_command.valid.eq(1)
                with m.If(self.write_command.ready):
                    m.next = "WRITE"
            with m.State("WRITE"):
                m.d.comb += [
                    to_words.i.valid.eq(command.payload.valid),
                    command.payload.ready.eq(to_words.i.ready),
                ]
                with m.If(left == 0):
                    m.d.comb += command.done.eq(1)
                    m.next = "WAIT"
        m.d.comb += command.busy.eq(~fsm.ongoing("WAIT"))
        return m
