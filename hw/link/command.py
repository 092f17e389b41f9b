"""Command processor of the link: which frames are executed, by which unit, and what is answered."""

from typing import Any

from amaranth.hdl import Module, Mux, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import In, Out, connect, flipped

from opzo.hw.link.dispatcher import CommandDispatcher, executors_of
from opzo.hw.link.executor import ExecutorSignature
from opzo.hw.link.frame import RECEIVED, ReplySignature
from opzo.hw.link.replies import ReplyControl
from opzo.spec.commands import NAK, NAK_PAYLOAD, REPLY, RUN_COMMANDS, STATUS_COMMANDS, Command, NakReason, Status


class CommandProcessor(wiring.Component):
    """Take frames in order, have them executed, answer them, and repeat answers.

    Golden twin: ``opzo.sim.golden.link.GoldenLink``. A frame is kept until its reply has been sent. Only the
    reply of a RUN or RUN_STORED with status OK follows later, from the `ReplyStore`.

    Parameters
    ----------
    stored : bool
        Whether the device has a sample store.

    Members
    -------
    frame, payload : In(stream)
        From the `FrameReceiver`.
    executors : Out(ExecutorSignature) x 4 or 7
        Those of the `CommandDispatcher`.
    active, begin : In(1)
        From the session.
    idle : In(1)
        The core is idle.
    queued, pending : In(1)
        With ``stored``: no other block can wait; a block waits or runs.
    store : Out(ReplyControl)
        To the reply store.
    reply : Out(ReplySignature)
        Replies and NAKs.
    """

    frame: Any
    payload: Any
    executors: Any
    active: Any
    begin: Any
    idle: Any
    queued: Any
    pending: Any
    store: Any
    reply: Any

    def __init__(self, *, stored: bool = False) -> None:
        self._stored = stored
        super().__init__(
            {
                "frame": In(stream.Signature(RECEIVED)),
                "payload": In(stream.Signature(8)),
                "executors": Out(ExecutorSignature()).array(len(executors_of(stored))),
                "active": In(1),
                "begin": In(1),
                "idle": In(1),
                **({"queued": In(1), "pending": In(1)} if stored else {}),
                "store": Out(ReplyControl()),
                "reply": Out(ReplySignature()),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.dispatcher = dispatcher = CommandDispatcher(stored=self._stored)
        m.submodules.composer = composer = ReplyComposer()
        for k, executor in enumerate(self.executors):
            connect(m, dispatcher.executors[k], flipped(executor))
        connect(m, flipped(self.payload), dispatcher.payload)
        connect(m, dispatcher.reply, composer.tail)
        connect(m, composer.reply, flipped(self.reply))
        frame, store = self.frame.p, self.store
        is_run = is_one(frame.code, RUN_COMMANDS, self._stored)
        status_only = is_one(frame.code, STATUS_COMMANDS, self._stored)
        expected = Signal(8)
        # About the frame that is offered: its place in the order, and whether it was executed before.
        current = Signal()
        latest = Signal()
        known = Signal()
        is_sync = Signal()
        only_status = Signal()
        # A cycle late, both when a RUN was answered and after a RUN was stored.
        unanswered = Signal()
        m.d.sync += [
            current.eq(frame.seq == expected),
            latest.eq(frame.seq == (expected - 1)[:8]),
            known.eq(store.known & (store.found.code == frame.code)),
            is_sync.eq(frame.code == Command.SYNC),
            unanswered.eq(store.unanswered),
            only_status.eq((store.found.status != Status.OK) | status_only),
        ]
        m.d.comb += [
            dispatcher.code.eq(frame.code),
            dispatcher.size.eq(frame.size),
            store.seq.eq(frame.seq),
            store.executed.seq.eq(frame.seq),
            store.executed.code.eq(frame.code),
            store.executed.status.eq(dispatcher.status),
            composer.seq.eq(frame.seq),
            composer.code.eq(frame.code),
            composer.expected.eq(expected),
        ]

        may_run = ~unanswered
        if self._stored:
            # One block waits while another one runs; a RUN waits until none is left.
            may_run &= ~Mux(dispatcher.is_block, self.queued, self.pending)

        def refuse(reason: NakReason) -> None:
            m.d.sync += [composer.is_nak.eq(1), composer.head.eq(reason)]
            m.next = "SEND"

        with m.FSM():
            with m.State("RECEIVE"):
                m.d.sync += composer.is_nak.eq(0)
                with m.If(self.frame.valid):
                    m.next = "LOOK_UP"
            with m.State("LOOK_UP"):
                m.next = "ORDER"
            with m.State("ORDER"):
                m.d.sync += [composer.head.eq(store.found.status), composer.tail_size.eq(0)]
                with m.If(~frame.good):
                    refuse(NakReason.MALFORMED)
                with m.Elif(is_sync):
                    m.next = "HOLD"
                with m.Elif(~self.active):
                    refuse(NakReason.NO_SESSION)
                with m.Elif(current):
                    m.next = "HOLD"
                with m.Elif(~known):
                    refuse(NakReason.ORDER)
                with m.Elif(only_status):
                    m.next = "SEND"
                with m.Elif(is_run & ~unanswered):
                    m.next = "RESEND"
                with m.Elif(~is_run & latest):
                    m.next = "HOLD"
                with m.Else():
                    m.next = "RELEASE"
            with m.State("HOLD"):
                m.d.comb += dispatcher.start.eq(Mux(dispatcher.is_sample, may_run, self.idle & store.idle))
                with m.If(dispatcher.start):
                    m.next = "EXECUTE"
            with m.State("EXECUTE"):
                m.d.sync += [composer.head.eq(dispatcher.status), composer.tail_size.eq(dispatcher.reply_size)]
                with m.If(self.begin):
                    m.d.sync += expected.eq(frame.seq + 1)
                with m.If(dispatcher.done):
                    m.d.comb += store.store.eq(~is_sync)
                    with m.If(current & ~is_sync):
                        m.d.sync += expected.eq(expected + 1)
                    m.next = "SEND"
                    with m.If(is_run & (dispatcher.status == Status.OK)):
                        m.next = "RELEASE"
            with m.State("SEND"):
                # Registered, because the path to the encoder depends on it.
                m.d.sync += composer.send.eq(~composer.reply.header.ready)
                with m.If(composer.reply.header.ready):
                    m.next = "RELEASE"
            with m.State("RESEND"):
                m.d.comb += store.resend.eq(1)
                m.next = "SETTLE"
            with m.State("SETTLE"):
                m.next = "REPEAT"
            with m.State("REPEAT"):
                with m.If(~unanswered):
                    m.next = "RELEASE"
            with m.State("RELEASE"):
                m.d.comb += self.frame.ready.eq(~dispatcher.busy)
                with m.If(~dispatcher.busy):
                    m.next = "RECEIVE"
        return m


def is_one(code: Value, commands: tuple[Command, ...], stored: bool) -> Value:
    """Whether ``code`` is one of ``commands`` that the device knows."""
    known = {command for each in executors_of(stored).values() for command in each}
    return code.matches(*(command for command in commands if command in known))


class ReplyComposer(wiring.Component):
    """Make the frame of a reply from its first byte and its tail, or of a NAK.

    Members
    -------
    send : In(1)
        Send; stable, like all that follows, until the header is taken.
    seq, code : In(8)
        From the frame that is answered.
    head : In(8)
        Status or NakReason.
    tail_size, tail : In(16), In(stream)
        What follows the status.
    is_nak, expected : In(1), In(8)
        Send a NAK: its payload is ``head`` and ``expected``.
    reply : Out(ReplySignature)
        The frame.
    """

    send: In(1)
    seq: In(8)
    code: In(8)
    head: In(8)
    tail_size: In(16)
    tail: In(stream.Signature(8))
    is_nak: In(1)
    expected: In(8)
    reply: Out(ReplySignature())

    def elaborate(self, platform: object) -> Module:
        m = Module()
        # Registers the path from the sender's ready to the executors; as fast as the sender, a byte in two cycles.
        m.submodules.fifo = fifo = SyncFIFOBuffered(width=8, depth=1)
        connect(m, flipped(self.tail), fifo.w_stream)
        tail: Any = fifo.r_stream
        header, payload = self.reply.header, self.reply.payload
        head_sent = Signal()
        m.d.comb += [
            header.valid.eq(self.send),
            header.p.seq.eq(Mux(self.is_nak, self.expected, self.seq)),
            header.p.code.eq(Mux(self.is_nak, NAK, self.code | REPLY)),
            header.p.size.eq(Mux(self.is_nak, NAK_PAYLOAD.size, self.tail_size + 1)),
            payload.valid.eq(self.send & (~head_sent | self.is_nak | tail.valid)),
            payload.p.eq(Mux(~head_sent, self.head, Mux(self.is_nak, self.expected, tail.p))),
            tail.ready.eq(self.send & head_sent & ~self.is_nak & payload.ready),
        ]
        with m.If(header.valid & header.ready):
            m.d.sync += head_sent.eq(0)
        with m.Elif(payload.valid & payload.ready):
            m.d.sync += head_sent.eq(1)
        return m
