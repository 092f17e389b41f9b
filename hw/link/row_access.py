"""Memories through the link: READ_MEMORY and WRITE_MEMORY."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped
from amaranth.utils import exact_log2

from opzo.hw.interface import MEMORY_COMMAND
from opzo.hw.lib.words import BytesToWords, WordsToBytes
from opzo.hw.link.executor import OPERAND_BYTES, ExecutorSignature
from opzo.hw.link.frame import SIZE_BITS
from opzo.hw.link.replies import STATUS_BITS
from opzo.spec.commands import Status
from opzo.spec.memories import Space
from opzo.spec.network import Limits


class RowAccess(wiring.Component):
    """Execute READ_MEMORY and, as second command, WRITE_MEMORY, row by row.

    What is read is sent on the fly: the reply's size is known before the first row.

    Parameters
    ----------
    limits : Limits
        Of the device.

    Members
    -------
    command : In(ExecutorSignature)
        From the command processor, only while the engine is idle.
    idle : In(1)
        The core has finished all rows.
    memory_command, memory_w, memory_r
        Memory port of the core.
    """

    command: In(ExecutorSignature())
    idle: In(1)
    memory_command: Out(stream.Signature(MEMORY_COMMAND))
    memory_w: Out(stream.Signature(16))
    memory_r: In(stream.Signature(16))

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        super().__init__()

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.check = check = RowCheck(self.limits)
        m.submodules.to_words = to_words = BytesToWords(2)
        m.submodules.to_bytes = to_bytes = WordsToBytes(2)
        command = self.command
        connect(m, to_bytes.o, flipped(command.reply))
        connect(m, to_words.o, flipped(self).memory_w)
        left = Signal(16)
        entry = Signal(range(self.limits.lanes))
        moved = Signal()
        m.d.comb += [
            check.second.eq(command.second),
            check.short.eq(command.short),
            check.size.eq(command.size),
            check.operands.eq(command.operands),
            command.status.eq(check.status),
            command.reply_size.eq(
                Mux(command.second | (check.status != Status.OK), 0, check.rows * (2 * self.limits.lanes))
            ),
            to_words.i.p.eq(command.payload.p),
            to_bytes.i.p.word.eq(self.memory_r.p),
            to_bytes.i.p.last.eq(1),
            self.memory_command.p.space.eq(check.space),
            self.memory_command.p.write.eq(command.second),
        ]
        row_done = moved & (entry == self.limits.lanes - 1)
        with m.If(moved):
            m.d.sync += entry.eq(entry + 1)
        with m.If(row_done):
            m.d.sync += [self.memory_command.p.address.eq(self.memory_command.p.address + 1), left.eq(left - 1)]
        with m.FSM() as fsm:
            with m.State("WAIT"):
                with m.If(command.start):
                    m.next = "ADD"
            with m.State("ADD"):
                m.next = "CHECK"
            with m.State("CHECK"):
                m.next = "DECIDE"
            with m.State("DECIDE"):
                m.d.sync += [self.memory_command.p.address.eq(check.address), left.eq(check.rows)]
                m.d.comb += command.done.eq(~command.second | (check.status != Status.OK))
                m.next = "WAIT"
                with m.If(check.status == Status.OK):
                    m.next = "COMMAND"
            with m.State("COMMAND"):
                m.d.comb += self.memory_command.valid.eq(1)
                with m.If(self.memory_command.ready):
                    m.next = "READ"
                    with m.If(command.second):
                        m.next = "WRITE"
            with m.State("READ"):
                m.d.comb += [
                    to_bytes.i.valid.eq(self.memory_r.valid),
                    self.memory_r.ready.eq(to_bytes.i.ready),
                    moved.eq(self.memory_r.valid & to_bytes.i.ready),
                ]
                with m.If(row_done):
                    m.next = "COMMAND"
                    with m.If(left == 1):
                        m.next = "WAIT"
            with m.State("WRITE"):
                m.d.comb += [
                    to_words.i.valid.eq(command.payload.valid),
                    command.payload.ready.eq(to_words.i.ready),
                    moved.eq(self.memory_w.valid & self.memory_w.ready),
                ]
                with m.If(row_done):
                    m.next = "COMMAND"
                    with m.If(left == 1):
                        m.next = "FINISH"
            with m.State("FINISH"):
                # A sample that follows must see the rows.
                with m.If(self.idle):
                    m.d.comb += command.done.eq(1)
                    m.next = "WAIT"
        m.d.comb += command.busy.eq(~fsm.ongoing("WAIT"))
        return m


class RowCheck(wiring.Component):
    """Find rows and errors in the payload of READ_MEMORY or WRITE_MEMORY; latency 3 cycles, ``rows`` 1.

    Parameters
    ----------
    limits : Limits
        Of the device.

    Members
    -------
    second, short, operands, size
        As in `ExecutorSignature`.
    space, address, rows : Out
        Memory, first row and number of rows; only with status OK.
    status : Out(3)
        OK, BAD_LENGTH or BAD_ADDRESS.
    """

    second: In(1)
    short: In(1)
    operands: In(8 * OPERAND_BYTES)
    size: In(SIZE_BITS)
    space: Out(3)
    address: Out(20)
    rows: Out(16)
    status: Out(STATUS_BITS)

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        super().__init__()

    def elaborate(self, platform: object) -> Module:
        m = Module()
        row_shift = exact_log2(2 * self.limits.lanes)
        ends = {
            Space.WEIGHTS: self.limits.rows,
            Space.LFSR: 2,
            Space.MEMBRANE: 2 * self.limits.words,
            Space.HISTORY: self.limits.words,
            Space.INPUT_HISTORY: self.limits.input_words,
        }
        space, address = Signal(8), Signal(32)
        bad_length = Signal()
        bad_space = Signal()
        end, beyond = Signal(range((1 << 20) + 1)), Signal(23)
        with m.If(self.second):
            m.d.sync += [
                Cat(space, address).eq(self.operands[-40:]),
                self.rows.eq(self.size >> row_shift),
                bad_length.eq(self.short | (self.size == 0) | self.size[:row_shift].any()),
            ]
        with m.Else():
            # The reply, 1 + (rows << row_shift) bytes, must stay below 1 << 16.
            rows = self.operands[-16:]
            m.d.sync += [
                Cat(space, address, self.rows).eq(self.operands),
                bad_length.eq(self.short | (self.size != 0) | (rows == 0) | rows[16 - row_shift :].any()),
            ]
        with m.Switch(space):
            for number, rows_of_space in ends.items():
                with m.Case(number):
                    m.d.sync += end.eq(rows_of_space)
        m.d.sync += [
            bad_space.eq((space > max(Space)) | address[21:].any() | (self.second & (space > Space.LFSR))),
            beyond.eq(address[:21] + self.rows),
        ]
        m.d.comb += [self.space.eq(space), self.address.eq(address)]
        m.d.sync += self.status.eq(Status.OK)
        with m.If(bad_length):
            m.d.sync += self.status.eq(Status.BAD_LENGTH)
        with m.Elif(bad_space | (beyond > end)):
            m.d.sync += self.status.eq(Status.BAD_ADDRESS)
        return m
