"""The sample store of a device: executors of its commands, and what they share."""

from typing import Any

from amaranth.hdl import Module, Mux
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from opzo.hw.interface import EVENT, RESULT, RUN
from opzo.hw.link.executor import ExecutorSignature
from opzo.hw.store.access import StoreAccess
from opzo.hw.store.block_intake import BlockIntake
from opzo.hw.store.check import StoreCheck
from opzo.hw.store.memory import StoreMemorySignature
from opzo.hw.store.stored_runs import StoredRuns
from opzo.hw.store.word_reader import WordReader
from opzo.spec.limits import Limits


class Store(wiring.Component):
    """Execute the commands of the sample store.

    Golden twin: ``opzo.sim.golden.store.GoldenStore``. Nothing uses the memory while a block is queued or runs, but
    the block.

    Parameters
    ----------
    limits : Limits
        Limits of the device.

    Members
    -------
    access, check, blocks : In(ExecutorSignature)
        READ_STORE and WRITE_STORE; CHECK_STORE; RUN_STORED.
    tag : In(2)
        Place of the reply of a RUN_STORED.
    accepted : Out(1)
        Strobe: unfinished input is to be discarded.
    queued, running : Out(1)
        A block waits for the engine; a block runs. Meanwhile the store uses the ports of the core.
    idle : In(1), register_addr, register_w_data, register_w_en, register_r_data, event, run, discard, core_result
        Ports of the core.
    result : Out(stream of RESULT)
        Answers to blocks.
    memory : Out(StoreMemorySignature)
    """

    access: Any
    check: Any
    blocks: Any
    tag: Any
    accepted: Any
    queued: Any
    running: Any
    idle: Any
    register_addr: Any
    register_w_data: Any
    register_w_en: Any
    register_r_data: Any
    event: Any
    run: Any
    discard: Any
    core_result: Any
    result: Any
    memory: Any

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        super().__init__(
            {
                **{name: In(ExecutorSignature()) for name in ("access", "check", "blocks")},
                "tag": In(RUN["tag"].width),
                "accepted": Out(1),
                "queued": Out(1),
                "running": Out(1),
                "idle": In(1),
                "register_addr": Out(8),
                "register_w_data": Out(32),
                "register_w_en": Out(1),
                "register_r_data": In(32),
                "event": Out(stream.Signature(EVENT)),
                "run": Out(stream.Signature(RUN)),
                "discard": Out(1),
                "core_result": In(stream.Signature(RESULT)),
                "result": Out(stream.Signature(RESULT)),
                "memory": Out(StoreMemorySignature(limits.store_bits)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        limits, memory = self._limits, self.memory
        m.submodules.access = access = StoreAccess(limits)
        m.submodules.check = check = StoreCheck(limits)
        m.submodules.intake = intake = BlockIntake(limits)
        m.submodules.runs = runs = StoredRuns(limits)
        m.submodules.reader = reader = WordReader(limits.store_bits)
        connect(m, flipped(self.access), access.command)
        connect(m, flipped(self.check), check.command)
        connect(m, flipped(self.blocks), intake.command)
        connect(m, intake.block, runs.block)
        connect(m, runs.event, flipped(self.event))
        connect(m, runs.run, flipped(self.run))
        connect(m, flipped(self.core_result), runs.core_result)
        connect(m, runs.result, flipped(self.result))
        connect(m, access.write, flipped(memory.write))
        connect(m, flipped(memory.read), reader.words)
        m.d.comb += [
            intake.tag.eq(self.tag),
            intake.free.eq(self.idle & ~runs.running),
            self.accepted.eq(intake.accepted),
            self.queued.eq(intake.queued),
            self.running.eq(runs.running),
            self.register_addr.eq(Mux(runs.running, runs.register_addr, intake.register_addr)),
            self.register_w_data.eq(intake.register_w_data),
            self.register_w_en.eq(intake.register_w_en),
            runs.register_r_data.eq(self.register_r_data),
            runs.idle.eq(self.idle),
            self.discard.eq(runs.discard),
        ]
        # One user reads at a time.
        users = ((access.read, self.access.busy), (check.read, self.check.busy), (runs.read, runs.running))
        for read, uses in users:
            m.d.comb += [read.data.p.eq(reader.request.data.p), read.data.valid.eq(reader.request.data.valid & uses)]
            with m.If(uses):
                m.d.comb += [
                    reader.request.start.eq(read.start),
                    reader.request.address.eq(read.address),
                    reader.request.words.eq(read.words),
                    reader.request.data.ready.eq(read.data.ready),
                ]
        # Writes only while no read is under way.
        with m.If(access.write_command.valid):
            m.d.comb += [
                memory.command.valid.eq(1),
                memory.command.p.eq(access.write_command.p),
                access.write_command.ready.eq(memory.command.ready),
            ]
        with m.Else():
            m.d.comb += [
                memory.command.valid.eq(reader.command.valid),
                memory.command.p.eq(reader.command.p),
                reader.command.ready.eq(memory.command.ready),
            ]
        return m
