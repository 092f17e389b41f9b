"""Check sum of the sample store through the link: CHECK_STORE."""

from typing import Any

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.crc.catalog import CRC32_ISO_HDLC
from amaranth.lib.wiring import In, Out, connect, flipped

from opzo.hw.lib.words import WordsToBytes
from opzo.hw.link.executor import ExecutorSignature
from opzo.hw.store.memory import WORD_BITS
from opzo.hw.store.payload_fields import PayloadFields
from opzo.hw.store.word_reader import ReadSignature
from opzo.spec.commands import ANSWERS, REQUESTS, Command, Status
from opzo.spec.limits import Limits


class StoreCheck(wiring.Component):
    """Execute CHECK_STORE, a word a cycle.

    Parameters
    ----------
    limits : Limits
        Limits of the device.

    Members
    -------
    command : In(ExecutorSignature)
        From the command processor, only while nothing else uses the store. The fields are in the payload.
    read : Out(ReadSignature)
    """

    command: Any
    read: Any

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        super().__init__({"command": In(ExecutorSignature()), "read": Out(ReadSignature(limits.store_bits))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.loader = loader = PayloadFields(Command.CHECK_STORE)
        # The lower byte of a word goes first, as the CRC is a reflected one.
        m.submodules.crc = crc = CRC32_ISO_HDLC(data_width=WORD_BITS).create()
        m.submodules.to_bytes = to_bytes = WordsToBytes(ANSWERS[Command.CHECK_STORE].size)
        command, read, given = self.command, self.read, loader.fields
        connect(m, to_bytes.o, flipped(command.reply))
        end = Signal(33)
        status = Signal.like(command.status)
        bad_length = Signal()
        good = status == Status.OK
        m.d.sync += [
            end.eq(given.address + given.bytes),
            bad_length.eq(command.size != REQUESTS[Command.CHECK_STORE].size),
            status.eq(Status.OK),
        ]
        with m.If(bad_length | (given.bytes == 0) | given.bytes[0]):
            m.d.sync += status.eq(Status.BAD_LENGTH)
        with m.Elif(given.address[0] | (end > self._limits.store)):
            m.d.sync += status.eq(Status.BAD_ADDRESS)
        m.d.comb += [
            command.status.eq(status),
            command.reply_size.eq(Mux(good, ANSWERS[Command.CHECK_STORE].size, 0)),
            loader.i.valid.eq(command.payload.valid & command.busy),
            loader.i.p.eq(command.payload.p),
            command.payload.ready.eq(loader.i.ready & command.busy),
            read.address.eq(given.address >> 1),
            read.words.eq(given.bytes >> 1),
            crc.data.eq(read.data.p.word),
            crc.valid.eq(read.data.valid & read.data.ready),
            to_bytes.i.p.word.eq(crc.crc),
            to_bytes.i.p.last.eq(ANSWERS[Command.CHECK_STORE].size - 1),
        ]
        with m.FSM() as fsm:
            with m.State("WAIT"):
                m.d.comb += crc.start.eq(1)
                with m.If(command.start):
                    m.next = "SIZE"
            with m.State("SIZE"):
                m.next = "CHECK"
                with m.If(command.size == REQUESTS[Command.CHECK_STORE].size):
                    m.d.comb += loader.start.eq(1)
                    m.next = "LOAD"
            with m.State("LOAD"):
                with m.If(loader.complete):
                    m.next = "SUM"
            with m.State("SUM"):
                m.next = "CHECK"
            with m.State("CHECK"):
                m.next = "DECIDE"
            with m.State("DECIDE"):
                m.next = "ANSWER"
                with m.If(good):
                    m.d.comb += read.start.eq(1)
                    m.next = "READ"
            with m.State("READ"):
                m.d.comb += read.data.ready.eq(1)
                with m.If(read.data.valid & read.data.p.last):
                    m.next = "SETTLE"
            with m.State("SETTLE"):
                m.next = "ANSWER"
            with m.State("ANSWER"):
                m.d.comb += command.done.eq(1)
                m.next = "WAIT"
                with m.If(good):
                    m.next = "SEND"
            with m.State("SEND"):
                m.d.comb += to_bytes.i.valid.eq(1)
                with m.If(to_bytes.i.ready):
                    m.next = "DRAIN"
            with m.State("DRAIN"):
                with m.If(~to_bytes.o.valid):
                    m.next = "WAIT"
        m.d.comb += command.busy.eq(~fsm.ongoing("WAIT"))
        return m
