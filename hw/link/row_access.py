"""Memories through the link: READ_MEMORY and WRITE_MEMORY."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped
from amaranth.utils import exact_log2

from opzo.hw.interface import MEMORY_COMMAND
from opzo.hw.lib.words import BytesToWords, WordsToBytes
from opzo.hw.link.executor import OPERAND_BYTES, ExecutorSignature, fields
from opzo.hw.link.frame import SIZE_BITS
from opzo.hw.link.replies import STATUS_BITS
from opzo.spec.commands import Command, Status
from opzo.spec.limits import MAX_ROWS, Limits
from opzo.spec.memories import ENTRY_BYTES, Space


class RowAccess(wiring.Component):
    """Execute READ_MEMORY and, as second command, WRITE_MEMORY, row by row. A device that only infers refuses to write.

    Rows are sent as they are read: the reply's size is known before the first row.

    Parameters
    ----------
    limits : Limits
        Limits of the device.

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
        m.submodules.to_words = to_words = BytesToWords(ENTRY_BYTES)
        m.submodules.to_bytes = to_bytes = WordsToBytes(ENTRY_BYTES)
        command = self.command
        is_write = command.is_second
        connect(m, to_bytes.o, flipped(command.reply))
        connect(m, to_words.o, flipped(self).memory_w)
        remaining = Signal(16)
        entry = Signal(range(self.limits.lanes))
        moved = Signal()
        m.d.comb += [
            check.is_write.eq(is_write),
            check.short.eq(command.short),
            check.size.eq(command.size),
            check.operands.eq(command.operands),
            command.status.eq(check.status),
            command.reply_size.eq(
                Mux(is_write | (check.status != Status.OK), 0, check.rows * (ENTRY_BYTES * self.limits.lanes))
            ),
            to_words.i.p.eq(command.payload.p),
            to_bytes.i.p.word.eq(self.memory_r.p),
            to_bytes.i.p.last.eq(ENTRY_BYTES - 1),
            self.memory_command.p.space.eq(check.space),
            self.memory_command.p.write.eq(is_write),
        ]
        row_done = moved & (entry == self.limits.lanes - 1)
        with m.If(moved):
            m.d.sync += entry.eq(entry + 1)
        with m.If(row_done):
            m.d.sync += [
                self.memory_command.p.address.eq(self.memory_command.p.address + 1),
                remaining.eq(remaining - 1),
            ]
        with m.FSM() as fsm:
            with m.State("WAIT"):
                with m.If(command.start):
                    m.next = "ADD"
            with m.State("ADD"):
                m.next = "CHECK"
            with m.State("CHECK"):
                m.next = "DECIDE"
            with m.State("DECIDE"):
                m.d.sync += [self.memory_command.p.address.eq(check.address), remaining.eq(check.rows)]
                m.d.comb += command.done.eq(~is_write | (check.status != Status.OK))
                m.next = "WAIT"
                with m.If(check.status == Status.OK):
                    m.next = "COMMAND"
            with m.State("COMMAND"):
                m.d.comb += self.memory_command.valid.eq(1)
                with m.If(self.memory_command.ready):
                    m.next = "READ"
                    with m.If(is_write):
                        m.next = "WRITE"
            with m.State("READ"):
                m.d.comb += [
                    to_bytes.i.valid.eq(self.memory_r.valid),
                    self.memory_r.ready.eq(to_bytes.i.ready),
                    moved.eq(self.memory_r.valid & to_bytes.i.ready),
                ]
                with m.If(row_done):
                    m.next = "COMMAND"
                    with m.If(remaining == 1):
                        m.next = "WAIT"
            with m.State("WRITE"):
                m.d.comb += [
                    to_words.i.valid.eq(command.payload.valid),
                    command.payload.ready.eq(to_words.i.ready),
                    moved.eq(self.memory_w.valid & self.memory_w.ready),
                ]
                with m.If(row_done):
                    m.next = "COMMAND"
                    with m.If(remaining == 1):
                        m.next = "FINISH"
            with m.State("FINISH"):
                # A sample that follows must read the new rows.
                with m.If(self.idle):
                    m.d.comb += command.done.eq(1)
                    m.next = "WAIT"
        m.d.comb += command.busy.eq(~fsm.ongoing("WAIT"))
        return m


class RowCheck(wiring.Component):
    """Decode and check the payload of READ_MEMORY or WRITE_MEMORY. Latency 3 cycles; of the place 1.

    Parameters
    ----------
    limits : Limits
        Limits of the device.

    Members
    -------
    is_write : In(1)
        The command is WRITE_MEMORY.
    short, operands, size
        As in `ExecutorSignature`.
    space, address, rows : Out
        Memory, first row and number of rows; only with status OK.
    status : Out(3)
        OK, BAD_LENGTH or BAD_ADDRESS.
    """

    is_write: In(1)
    short: In(1)
    operands: In(8 * OPERAND_BYTES)
    size: In(SIZE_BITS)
    space: Out(MEMORY_COMMAND["space"].width)
    address: Out(MEMORY_COMMAND["address"].width)
    rows: Out(16)
    status: Out(STATUS_BITS)

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        super().__init__()

    def elaborate(self, platform: object) -> Module:
        m = Module()
        row_shift = exact_log2(ENTRY_BYTES * self.limits.lanes)
        read, write = (fields(self.operands, command) for command in (Command.READ_MEMORY, Command.WRITE_MEMORY))
        space = Signal.like(read.space)
        address = Signal.like(read.address)
        bad_length = Signal()
        bad_space = Signal()
        # An address of one bit more than any row has, so that the sum with ``rows`` does not wrap.
        address_bits = self.limits.address_bits + 1
        end = Signal(range(MAX_ROWS + 1))
        beyond = Signal(address_bits + 2)
        with m.If(self.is_write):
            m.d.sync += [
                space.eq(write.space),
                address.eq(write.address),
                self.rows.eq(self.size >> row_shift),
                bad_length.eq(self.short | (self.size == 0) | self.size[:row_shift].any()),
            ]
        with m.Else():
            # The reply, 1 + (rows << row_shift) bytes, must stay below 1 << 16.
            m.d.sync += [
                space.eq(read.space),
                address.eq(read.address),
                self.rows.eq(read.rows),
                bad_length.eq(self.short | (self.size != 0) | (read.rows == 0) | read.rows[16 - row_shift :].any()),
            ]
        with m.Switch(space):
            for each in Space:
                with m.Case(each):
                    m.d.sync += end.eq(each.rows(self.limits))
        m.d.sync += [
            bad_space.eq(
                (space > max(Space))
                | address[address_bits:].any()
                | (self.is_write & ~space.matches(*(each for each in Space if each.writable_in(self.limits))))
            ),
            beyond.eq(address[:address_bits] + self.rows),
        ]
        m.d.comb += [self.space.eq(space), self.address.eq(address)]
        m.d.sync += self.status.eq(Status.OK)
        with m.If(bad_length):
            m.d.sync += self.status.eq(Status.BAD_LENGTH)
        with m.Elif(bad_space | (beyond > end)):
            m.d.sync += self.status.eq(Status.BAD_ADDRESS)
        return m
