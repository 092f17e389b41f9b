"""Session of the link: SYNC and RESET."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from opzo.hw.link.executor import ExecutorSignature, fields
from opzo.spec.commands import Command, Status
from opzo.spec.limits import Limits
from opzo.spec.protocol import Identity


class Session(wiring.Component):
    """Execute SYNC and, as second command, RESET.

    Parameters
    ----------
    limits : Limits
        Limits of the device.
    clock_khz : int
        Clock that the identity reports.

    Members
    -------
    command : In(ExecutorSignature)
        From the command processor, only while the engine is idle.
    active : Out(1)
        A session was started.
    begin : Out(1)
        Strobe in the cycle of ``command.done``: a session begins.
    clear : Out(1)
        Strobe: discard an unfinished sample.
    """

    command: In(ExecutorSignature())
    active: Out(1)
    begin: Out(1)
    clear: Out(1)

    def __init__(self, limits: Limits, clock_khz: int = 0) -> None:
        self.identity = Identity.of(limits, clock_khz).pack()
        super().__init__()

    def elaborate(self, platform: object) -> Module:
        m = Module()
        memory: Memory = Memory(shape=8, depth=len(self.identity), init=list(self.identity))
        m.submodules.identity = memory
        read = memory.read_port()
        command, is_reset = self.command, self.command.is_second
        given = fields(command.operands, Command.SYNC).nonce
        nonce = Signal.like(given)
        is_new = Signal()
        good = Signal()
        m.d.comb += [
            command.status.eq(Mux(good, Status.OK, Status.BAD_LENGTH)),
            command.reply_size.eq(Mux(good & ~is_reset, len(self.identity), 0)),
            command.reply.p.eq(read.data),
        ]
        with m.FSM() as fsm:
            with m.State("WAIT"):
                m.d.sync += [
                    good.eq(~command.short & (command.size == 0)),
                    is_new.eq(~self.active | (nonce != given)),
                    read.addr.eq(0),
                ]
                with m.If(command.start):
                    m.next = "DECIDE"
            with m.State("DECIDE"):
                m.d.comb += [
                    command.done.eq(1),
                    self.begin.eq(good & ~is_reset & is_new),
                    self.clear.eq(self.begin | (good & is_reset)),
                ]
                with m.If(self.begin):
                    m.d.sync += [nonce.eq(given), self.active.eq(1)]
                m.next = "WAIT"
                with m.If(command.reply_size != 0):
                    m.next = "FETCH"
            with m.State("FETCH"):
                m.next = "SEND"
            with m.State("SEND"):
                m.d.comb += command.reply.valid.eq(1)
                with m.If(command.reply.ready):
                    m.d.sync += read.addr.eq(read.addr + 1)
                    m.next = "FETCH"
                    with m.If(read.addr == len(self.identity) - 1):
                        m.next = "WAIT"
        m.d.comb += command.busy.eq(~fsm.ongoing("WAIT"))
        return m
