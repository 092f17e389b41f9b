"""The device side of the link."""

from typing import Any

from amaranth.hdl import Module, Mux
from amaranth.lib import stream, wiring
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import In, Out, connect, flipped

from opzo.hw.interface import CoreSignature
from opzo.hw.lib.slip import SlipDecoder, SlipEncoder
from opzo.hw.link.command import CommandProcessor
from opzo.hw.link.dispatcher import BLOCKS, REGISTERS, ROWS, SAMPLES, SESSION, STORE_ACCESS, STORE_CHECK
from opzo.hw.link.frame import FrameReceiver, FrameSender, ReplyArbiter
from opzo.hw.link.register_access import RegisterAccess
from opzo.hw.link.replies import TAG_BITS, ReplyStore
from opzo.hw.link.row_access import RowAccess
from opzo.hw.link.sample_intake import SampleIntake
from opzo.hw.link.session import Session
from opzo.hw.store.memory import StoreMemorySignature
from opzo.hw.store.store import Store
from opzo.spec.commands import NAK
from opzo.spec.limits import Limits

INPUT_BYTES = 16
"""Bytes that may arrive while a frame is executed, so that a slow command loses none on a link without flow control."""


class Link(wiring.Component):
    """Answer a host's frames by means of the core.

    Golden twin: ``opzo.sim.golden.link.GoldenLink``. Replies are equal byte for byte, but the reply of a RUN or
    RUN_STORED may come after those of later frames.

    Parameters
    ----------
    limits : Limits
        Limits of the device.
    clock_khz : int
        Clock that the identity reports, 0 for none.

    Members
    -------
    rx, tx : In(stream), Out(stream)
        Bytes from and to the host.
    core : In(CoreSignature)
        The core's side of `CoreSignature`, flipped.
    busy : Out(1)
        A frame is being executed or answered, or received bytes were not decoded yet. Low while an incomplete frame
        waits for its remaining bytes.
    received, refused, training : Out(1)
        Strobes for indicators: a good frame was received, a frame was answered with a NAK, a run with learning went
        to the core.
    memory : Out(StoreMemorySignature)
        Memory of the sample store, if the device has one.
    """

    rx: Any
    tx: Any
    core: Any
    busy: Any
    received: Any
    refused: Any
    training: Any
    memory: Any

    def __init__(self, limits: Limits, clock_khz: int = 0) -> None:
        self.limits, self.clock_khz = limits, clock_khz
        super().__init__(
            {
                "rx": In(stream.Signature(8)),
                "tx": Out(stream.Signature(8)),
                "core": In(CoreSignature()),
                **{name: Out(1) for name in ("busy", "received", "refused", "training")},
                **memory_port(limits),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.fifo = fifo = SyncFIFOBuffered(width=8, depth=INPUT_BYTES)
        m.submodules.decoder = decoder = SlipDecoder()
        m.submodules.receiver = receiver = FrameReceiver()
        m.submodules.command = command = CommandProcessor(stored=self.limits.store > 0)
        m.submodules.session = session = Session(self.limits, self.clock_khz)
        m.submodules.registers = registers = RegisterAccess()
        m.submodules.rows = rows = RowAccess(self.limits)
        m.submodules.samples = samples = SampleIntake(self.limits)
        m.submodules.replies = replies = ReplyStore(self.limits)
        m.submodules.arbiter = arbiter = ReplyArbiter()
        m.submodules.sender = sender = FrameSender()
        m.submodules.encoder = encoder = SlipEncoder()
        core = flipped(self.core)
        connect(m, flipped(self.rx), fifo.w_stream)
        connect(m, fifo.r_stream, decoder.i)
        connect(m, decoder.o, receiver.i)
        connect(m, receiver.frame, command.frame)
        connect(m, receiver.payload, command.payload)
        for number, unit in ((SESSION, session), (REGISTERS, registers), (ROWS, rows), (SAMPLES, samples)):
            connect(m, command.executors[number], unit.command)
        connect(m, command.store, replies.control)
        connect(m, replies.reply, arbiter.first)
        connect(m, command.reply, arbiter.second)
        connect(m, arbiter.o, sender.reply)
        connect(m, sender.o, encoder.i)
        connect(m, encoder.o, flipped(self.tx))
        connect(m, rows.memory_command, core.memory_command)
        connect(m, rows.memory_w, core.memory_w)
        connect(m, core.memory_r, rows.memory_r)
        m.d.comb += [
            command.active.eq(session.active),
            command.begin.eq(session.begin),
            command.idle.eq(core.idle),
            rows.idle.eq(core.idle),
            replies.forget.eq(session.begin),
            samples.tag.eq(receiver.frame.p.seq[:TAG_BITS]),
            registers.r_data.eq(core.register_r_data),
            samples.register_r_data.eq(core.register_r_data),
            # The receiver takes no bytes while it has a frame, and keeps the frame until it is answered, except RUN.
            self.busy.eq(
                (fifo.r_level != 0)
                | decoder.o.valid
                | ~receiver.i.ready
                | ~replies.control.idle
                | arbiter.o.header.valid
                | sender.o.valid
            ),
            self.received.eq(receiver.frame.valid & receiver.frame.ready & receiver.frame.p.good),
            self.refused.eq(
                command.reply.header.valid & command.reply.header.ready & (command.reply.header.p.code == NAK)
            ),
            self.training.eq(core.run.valid & core.run.ready & core.run.p.train),
        ]
        register_addr = Mux(samples.command.busy, samples.register_addr, registers.addr)
        if not self.limits.store:
            connect(m, samples.event, core.event)
            connect(m, samples.run, core.run)
            connect(m, core.result, replies.result)
            m.d.comb += [
                samples.clear.eq(session.clear),
                core.discard.eq(samples.discard),
                core.register_addr.eq(register_addr),
                core.register_w_data.eq(registers.w_data),
                core.register_w_en.eq(registers.w_en),
            ]
            return m

        m.submodules.store = store = Store(self.limits)
        for number, executor in ((STORE_ACCESS, store.access), (STORE_CHECK, store.check), (BLOCKS, store.blocks)):
            connect(m, command.executors[number], executor)
        connect(m, store.memory, flipped(self.memory))
        pending = store.queued | store.running
        m.d.comb += [
            command.queued.eq(store.queued),
            command.pending.eq(pending),
            samples.clear.eq(session.clear | store.accepted),
            store.tag.eq(samples.tag),
            store.idle.eq(core.idle),
            store.register_r_data.eq(core.register_r_data),
            core.discard.eq(samples.discard | store.discard),
            core.register_addr.eq(Mux(pending, store.register_addr, register_addr)),
            core.register_w_data.eq(Mux(pending, store.register_w_data, registers.w_data)),
            core.register_w_en.eq(registers.w_en | store.register_w_en),
        ]
        # Runs that came through the link have ended when a block begins, and none comes until it has been answered.
        _choose(m, pending, (samples.event, store.event), core.event)
        _choose(m, pending, (samples.run, store.run), core.run)
        _choose(m, store.running, (core.result, store.result), replies.result)
        m.d.comb += [
            store.core_result.p.eq(core.result.p),
            store.core_result.valid.eq(core.result.valid & store.running),
        ]
        with m.If(store.running):
            m.d.comb += core.result.ready.eq(store.core_result.ready)
        return m


def memory_port(limits: Limits) -> dict[str, Any]:
    """Port of the sample store's memory of a device that has one."""
    return {"memory": Out(StoreMemorySignature(limits.store_bits))} if limits.store else {}


def _choose(m: Module, second: Any, sources: tuple[Any, Any], to: Any) -> None:
    """Connect one of two streams to a third one."""
    m.d.comb += [
        to.p.eq(Mux(second, sources[1].p, sources[0].p)),
        to.valid.eq(Mux(second, sources[1].valid, sources[0].valid)),
        sources[0].ready.eq(to.ready & ~second),
        sources[1].ready.eq(to.ready & second),
    ]
