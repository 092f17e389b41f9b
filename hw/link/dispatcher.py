"""Command dispatcher of the link: selects the unit that executes a command, and collects its operands."""

from typing import Any

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from opzo.hw.link.executor import LONG_COMMANDS, OPERAND_BYTES, ExecutorSignature
from opzo.hw.link.frame import SIZE_BITS
from opzo.hw.link.replies import STATUS_BITS
from opzo.spec.commands import REQUESTS, Command, Status

SESSION, REGISTERS, ROWS, SAMPLES, STORE_ACCESS, STORE_CHECK, BLOCKS = range(7)
"""Executors, by number."""
EXECUTORS: dict[int, tuple[Command, ...]] = {
    SESSION: (Command.SYNC, Command.RESET),
    REGISTERS: (Command.READ_REGISTERS, Command.WRITE_REGISTERS),
    ROWS: (Command.READ_MEMORY, Command.WRITE_MEMORY),
    SAMPLES: (Command.EVENTS, Command.RUN),
}
"""First and second command of each executor."""
STORE_EXECUTORS: dict[int, tuple[Command, ...]] = {
    STORE_ACCESS: (Command.READ_STORE, Command.WRITE_STORE),
    STORE_CHECK: (Command.CHECK_STORE,),
    BLOCKS: (Command.RUN_STORED,),
}
"""Those of a device with a sample store besides."""


def executors_of(stored: bool) -> dict[int, tuple[Command, ...]]:
    """Executors of a device with or without a sample store, and their commands."""
    return EXECUTORS | STORE_EXECUTORS if stored else EXECUTORS


class CommandDispatcher(wiring.Component):
    """Take the operands of a command from the payload and have the command executed.

    Parameters
    ----------
    stored : bool
        Whether the device has a sample store.

    Members
    -------
    code, size : In(8), In(11)
        Command and bytes of payload, stable from the cycle before ``start`` until not ``busy``.
    is_sample, is_block : Out(1)
        EVENTS, RUN or RUN_STORED, which need not wait for the engine; RUN_STORED, only with ``stored``. Valid in the
        cycle after ``code``.
    payload : In(stream)
        Payload.
    executors : Out(ExecutorSignature) x 4 or 7
        By number.
    start, busy, done, status, reply_size, reply
        As in `ExecutorSignature`, the outcome a cycle later; BAD_COMMAND is added here.
    """

    code: Any
    size: Any
    is_sample: Any
    is_block: Any
    payload: Any
    executors: Any
    start: Any
    busy: Any
    done: Any
    status: Any
    reply_size: Any
    reply: Any

    def __init__(self, *, stored: bool = False) -> None:
        self._commands = executors_of(stored)
        super().__init__(
            {
                "code": In(8),
                "size": In(SIZE_BITS),
                "is_sample": Out(1),
                **({"is_block": Out(1)} if stored else {}),
                "payload": In(stream.Signature(8)),
                "executors": Out(ExecutorSignature()).array(len(self._commands)),
                "start": In(1),
                "busy": Out(1),
                "done": Out(1),
                "status": Out(STATUS_BITS),
                "reply_size": Out(16),
                "reply": Out(stream.Signature(8)),
            }
        )

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
            for executor, commands in self._commands.items():
                for second, command in enumerate(commands):
                    with m.Case(command):
                        m.d.sync += [
                            chosen.eq(1 << executor),
                            is_second.eq(second),
                            operand_bytes.eq(0 if command in LONG_COMMANDS else REQUESTS[command].size),
                        ]
        # The outcome is registered: the executors' checks come before it, the order of frames after it.
        m.d.comb += self.is_sample.eq(chosen[SAMPLES])
        if BLOCKS in self._commands:
            m.d.comb += [self.is_sample.eq(chosen[SAMPLES] | chosen[BLOCKS]), self.is_block.eq(chosen[BLOCKS])]
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
