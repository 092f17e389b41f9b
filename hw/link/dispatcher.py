"""Command dispatcher of the link: selects the unit that executes a command, and collects its operands."""

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from opzo.hw.link.executor import OPERAND_BYTES, ExecutorSignature
from opzo.hw.link.frame import SIZE_BITS
from opzo.hw.link.replies import STATUS_BITS
from opzo.spec.commands import REQUESTS, Command, Status

SESSION, REGISTERS, ROWS, SAMPLES = range(4)
"""Executors, by number."""
EXECUTORS = {
    SESSION: (Command.SYNC, Command.RESET),
    REGISTERS: (Command.READ_REGISTERS, Command.WRITE_REGISTERS),
    ROWS: (Command.READ_MEMORY, Command.WRITE_MEMORY),
    SAMPLES: (Command.EVENTS, Command.RUN),
}
"""First and second command of each executor."""


class CommandDispatcher(wiring.Component):
    """Take the operands of a command from the payload and have the command executed.

    Members
    -------
    code, size : In(8), In(11)
        Command and bytes of payload, stable from the cycle before ``start`` until not ``busy``.
    is_sample : Out(1)
        EVENTS or RUN, which need not wait for the engine; valid in the cycle after ``code``.
    payload : In(stream)
        Payload.
    executors : Out(ExecutorSignature) x 4
        SESSION, REGISTERS, ROWS, SAMPLES.
    start, busy, done, status, reply_size, reply
        As in `ExecutorSignature`, the outcome a cycle later; BAD_COMMAND is added here.
    """

    code: In(8)
    size: In(SIZE_BITS)
    is_sample: Out(1)
    payload: In(stream.Signature(8))
    executors: Out(ExecutorSignature()).array(len(EXECUTORS))
    start: In(1)
    busy: Out(1)
    done: Out(1)
    status: Out(STATUS_BITS)
    reply_size: Out(16)
    reply: Out(stream.Signature(8))

    def elaborate(self, platform: object) -> Module:
        m = Module()
        executors = self.executors
        chosen = Signal(len(executors))
        is_second = Signal()
        operand_bytes = Signal(range(OPERAND_BYTES + 1))
        missing = Signal.like(operand_bytes)
        short = Signal()
        remaining = Signal.like(self.size)
        # No operand, or no byte of payload, is left to load.
        loaded = Signal()
        operands = Signal(8 * OPERAND_BYTES)
        m.d.sync += [chosen.eq(0), is_second.eq(0), operand_bytes.eq(0)]
        with m.Switch(self.code):
            for executor, commands in EXECUTORS.items():
                for second, command in enumerate(commands):
                    with m.Case(command):
                        m.d.sync += [
                            chosen.eq(1 << executor),
                            is_second.eq(second),
                            operand_bytes.eq(REQUESTS[command].size),
                        ]
        # The outcome is registered: the executors' checks come before it, the order of frames after it.
        m.d.comb += self.is_sample.eq(chosen[SAMPLES])
        # ``missing`` has its final value when LOAD ends, a cycle before START.
        m.d.sync += short.eq(missing != 0)
        m.d.sync += [self.done.eq(0), self.status.eq(Status.BAD_COMMAND), self.reply_size.eq(0)]
        # At most one executor is busy.
        m.d.comb += self.payload.ready.eq(Cat(executor.payload.ready for executor in executors).any())
        for k, executor in enumerate(executors):
            m.d.comb += [
                executor.is_second.eq(is_second),
                executor.short.eq(short),
                executor.operands.eq(operands),
                executor.size.eq(remaining),
                executor.payload.p.eq(self.payload.p),
                executor.payload.valid.eq(self.payload.valid),
                executor.reply.ready.eq(self.reply.ready),
            ]
            with m.If(chosen[k]):
                m.d.sync += [self.status.eq(executor.status), self.reply_size.eq(executor.reply_size)]
                m.d.comb += [
                    self.reply.p.eq(executor.reply.p),
                    self.reply.valid.eq(executor.reply.valid),
                ]
        with m.FSM() as fsm:
            with m.State("WAIT"):
                m.d.sync += [missing.eq(operand_bytes), remaining.eq(self.size)]
                m.d.sync += loaded.eq((operand_bytes == 0) | (self.size == 0))
                with m.If(self.start):
                    m.next = "LOAD"
            with m.State("LOAD"):
                with m.If(loaded):
                    m.next = "START"
                with m.Else():
                    m.d.comb += self.payload.ready.eq(1)
                    with m.If(self.payload.valid):
                        m.d.sync += [
                            operands.eq(Cat(operands[8:], self.payload.p)),
                            missing.eq(missing - 1),
                            remaining.eq(remaining - 1),
                            loaded.eq((missing == 1) | (remaining == 1)),
                        ]
            with m.State("START"):
                m.next = "EXECUTE"
                for k, executor in enumerate(executors):
                    m.d.comb += executor.start.eq(chosen[k])
                with m.If(~chosen.any()):
                    m.d.sync += self.done.eq(1)
                    m.next = "WAIT"
            with m.State("EXECUTE"):
                busy = Signal()
                for k, executor in enumerate(executors):
                    with m.If(chosen[k]):
                        m.d.sync += self.done.eq(executor.done)
                        m.d.comb += busy.eq(executor.busy)
                with m.If(~busy):
                    m.next = "WAIT"
        m.d.comb += self.busy.eq(~fsm.ongoing("WAIT"))
        return m
