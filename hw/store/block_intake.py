"""RUN_STORED: checks a block, keeps it until the engine is idle, and writes its registers."""

from typing import Any

from amaranth.hdl import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from opzo.hw.link.executor import ExecutorSignature
from opzo.hw.store.block import BLOCK, block_of
from opzo.hw.store.payload_fields import PayloadFields
from opzo.spec.commands import MOST_ANSWERS, REQUESTS, SETTING, Command, Status, StoredFlag
from opzo.spec.frames import MAX_PAYLOAD
from opzo.spec.limits import Limits
from opzo.spec.shuffle import MAX_SHIFT
from opzo.spec.store import ADDRESS_BYTES

MOST_SETTING_BYTES = MAX_PAYLOAD - REQUESTS[Command.RUN_STORED].size
SETTLE_CYCLES = 4
"""From the write of a register until the core says that it is not idle."""


class BlockIntake(wiring.Component):
    """Execute RUN_STORED: one block waits here while another one runs.

    The frame is done once its registers are in a memory of this unit, so that the link is free for the next frame.
    Memory word: byte k of the settings in row k.

    Parameters
    ----------
    limits : Limits
        Limits of the device.

    Members
    -------
    command : In(ExecutorSignature)
        From the command processor, only while not ``queued``. The fields are in the payload.
    tag : In(2)
        Place of the reply; stable while the command is executed.
    accepted : Out(1)
        Strobe: a block was accepted.
    queued : Out(1)
        From then until the block was taken.
    free : In(1)
        The core is idle and no block runs. The core knows of a run that came before the block: its payload takes longer
        than ``idle`` takes to fall.
    register_addr, register_w_data, register_w_en
        Write port of the core's registers, used while ``queued`` and ``free``.
    block : Out(stream of BLOCK)
        A block whose registers are written.
    """

    command: In(ExecutorSignature())
    tag: In(BLOCK["tag"].width)
    accepted: Out(1)
    queued: Out(1)
    free: In(1)
    register_addr: Out(8)
    register_w_data: Out(32)
    register_w_en: Out(1)
    block: Out(stream.Signature(BLOCK))

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        super().__init__()

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.loader = loader = PayloadFields(Command.RUN_STORED)
        memory: Memory = Memory(shape=8, depth=MOST_SETTING_BYTES, init=[])
        m.submodules.settings = memory
        write, read = memory.write_port(), memory.read_port()
        command, payload = self.command, self.command.payload
        status = self._status(m, loader.fields)
        left = Signal.like(command.size)
        # Bytes of settings in the memory, and how many bytes of the last setting.
        stored = Signal(range(MOST_SETTING_BYTES + 1))
        part = Signal(range(SETTING.size))
        bad_length = Signal()
        good = Signal()
        tag = Signal.like(self.tag)
        takes = Signal()
        takes_setting = Signal()
        m.d.comb += [
            takes_setting.eq(takes & loader.complete),
            loader.i.valid.eq(takes & payload.valid),
            loader.i.p.eq(payload.p),
            payload.ready.eq(takes),
            write.addr.eq(stored),
            write.data.eq(payload.p),
            write.en.eq(takes_setting & payload.valid),
            command.status.eq(status),
            self.accepted.eq(command.done & good),
            self.block.p.as_value().eq(block_of(loader.fields, tag)),
        ]
        with m.If(bad_length):
            m.d.comb += command.status.eq(Status.BAD_LENGTH)
        m.d.comb += good.eq(~bad_length & (status == Status.OK))
        with m.If(takes & payload.valid):
            m.d.sync += left.eq(left - 1)
        with m.If(write.en):
            m.d.sync += [stored.eq(stored + 1), part.eq(part + 1)]
            with m.If(part == SETTING.size - 1):
                m.d.sync += part.eq(0)
        with m.FSM(name="intake") as intake:
            with m.State("WAIT"):
                m.d.sync += left.eq(command.size)
                with m.If(command.start):
                    m.d.comb += loader.start.eq(1)
                    m.d.sync += [stored.eq(0), part.eq(0), tag.eq(self.tag)]
                    m.next = "LOAD"
            with m.State("LOAD"):
                m.d.comb += takes.eq(left != 0)
                with m.If(left == 0):
                    m.d.sync += bad_length.eq(~loader.complete | (part != 0))
                    m.next = "SUM"
            with m.State("SUM"):
                m.next = "CHECK"
            with m.State("CHECK"):
                m.next = "DECIDE"
            with m.State("DECIDE"):
                m.d.comb += command.done.eq(1)
                with m.If(good):
                    m.d.sync += self.queued.eq(1)
                m.next = "WAIT"
        m.d.comb += command.busy.eq(~intake.ongoing("WAIT"))
        self._begin(m, read, stored)
        return m

    def _status(self, m: Module, given: Any) -> Signal:
        """Status of the fields, two cycles later."""
        status: Signal = Signal.like(self.command.status)
        table_end = Signal(35)
        end = Signal(33)
        m.d.sync += [
            table_end.eq(given.table + given.samples * ADDRESS_BYTES),
            end.eq(given.first + given.count),
            status.eq(Status.OK),
        ]
        answers = given.flags[StoredFlag.ANSWERS.bit_length() - 1]
        bad_block = (given.count == 0) | (end > given.samples) | (given.shift > MAX_SHIFT)
        with m.If(given.table[0] | (table_end > self._limits.store)):
            m.d.sync += status.eq(Status.BAD_ADDRESS)
        with m.Elif(bad_block | (answers & (given.count > MOST_ANSWERS))):
            m.d.sync += status.eq(Status.BAD_BLOCK)
        return status

    def _begin(self, m: Module, read: Any, stored: Signal) -> None:
        """Write the registers and hand the block over."""
        place = Signal.like(stored)
        part = Signal(range(SETTING.size + 1))
        settle = Signal(range(SETTLE_CYCLES))
        setting = Signal(8 * SETTING.size)
        m.d.comb += [
            read.addr.eq(place),
            self.register_addr.eq(setting[:8]),
            self.register_w_data.eq(setting[8:]),
        ]
        with m.FSM(name="begin"):
            with m.State("WAIT"):
                m.d.sync += [place.eq(0), part.eq(0)]
                with m.If(self.queued & self.free):
                    m.next = "FETCH"
            with m.State("FETCH"):
                m.d.sync += settle.eq(SETTLE_CYCLES - 1)
                m.next = "SHIFT"
                with m.If(part == SETTING.size):
                    m.next = "WRITE"
                with m.Elif(place == stored):
                    m.next = "SETTLE"
            with m.State("SHIFT"):
                m.d.sync += [setting.eq(setting[8:] | read.data << (8 * (SETTING.size - 1))), place.eq(place + 1)]
                m.d.sync += part.eq(part + 1)
                m.next = "FETCH"
            with m.State("WRITE"):
                m.d.comb += self.register_w_en.eq(1)
                m.d.sync += part.eq(0)
                m.next = "FETCH"
            with m.State("SETTLE"):
                m.d.sync += settle.eq(settle - 1)
                with m.If(settle == 0):
                    m.next = "IDLE"
            with m.State("IDLE"):
                with m.If(self.free):
                    m.next = "OFFER"
            with m.State("OFFER"):
                m.d.comb += self.block.valid.eq(1)
                with m.If(self.block.ready):
                    m.d.sync += self.queued.eq(0)
                    m.next = "WAIT"
