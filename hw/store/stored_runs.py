"""Runs from the sample store: one block at a time."""

from typing import Any

from amaranth import Module, Mux, ResetInserter, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from opzo.hw.interface import EVENT, RESULT, RUN
from opzo.hw.store.block import BLOCK
from opzo.hw.store.block_result import BlockResult
from opzo.hw.store.order import SampleOrder
from opzo.hw.store.sample_reader import NETWORK, SampleReader
from opzo.hw.store.word_reader import ReadSignature
from opzo.hw.timing import REGISTER_CYCLES, require
from opzo.spec.limits import Limits
from opzo.spec.registers import Reg


class StoredRuns(wiring.Component):
    """Train or test on the samples of a block.

    Golden twin: ``opzo.sim.golden.store.GoldenStore.run``, after its registers were written.

    Parameters
    ----------
    limits : Limits
        Limits of the device.

    Members
    -------
    block : In(stream of BLOCK)
        Taken while the core is idle and no block runs.
    running : Out(1)
        A block runs, from the cycle after it was taken until its result was.
    read : Out(ReadSignature)
    idle : In(1), register_addr, register_r_data, event, run, discard, core_result
        Ports of the core, used while ``running``.
    result : Out(stream of RESULT)
        The answer to a block.
    """

    block: Any
    running: Any
    read: Any
    idle: Any
    register_addr: Any
    register_r_data: Any
    event: Any
    run: Any
    discard: Any
    core_result: Any
    result: Any

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        super().__init__(
            {
                "block": In(stream.Signature(BLOCK)),
                "running": Out(1),
                "read": Out(ReadSignature(limits.store_bits)),
                "idle": In(1),
                "register_addr": Out(8),
                "register_r_data": In(32),
                "event": Out(stream.Signature(EVENT)),
                "run": Out(stream.Signature(RUN)),
                "discard": Out(1),
                "core_result": In(stream.Signature(RESULT)),
                "result": Out(stream.Signature(RESULT)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        require(REGISTER_CYCLES == 3, "the states of StoredRuns take registers after three cycles")
        m = Module()
        begins = Signal()
        order, reader = SampleOrder(), SampleReader(self._limits)
        # A block that ended early leaves them in the middle of their work.
        m.submodules.order = ResetInserter(begins)(order)
        m.submodules.reader = ResetInserter(begins)(reader)
        m.submodules.result = result = BlockResult()
        block: Any = Signal(BLOCK)
        network: Any = Signal(NETWORK)
        sets = Signal()
        asked = Signal(8)
        connect(m, order.o, reader.place)
        connect(m, reader.given, result.given)
        connect(m, reader.read, flipped(self.read))
        connect(m, reader.event, flipped(self.event))
        connect(m, reader.run, flipped(self.run))
        connect(m, flipped(self.core_result), result.result)
        connect(m, result.o, flipped(self.result))
        m.d.comb += [
            self.discard.eq(reader.discard),
            order.block.eq(block),
            order.start.eq(sets),
            reader.block.eq(block),
            reader.network.eq(network),
            reader.set_network.eq(sets),
            result.begin.eq(begins),
            result.status.eq(reader.status),
            result.answers.eq(block.answers),
            result.tag.eq(block.tag),
            result.idle.eq(self.idle),
            result.register_r_data.eq(self.register_r_data),
        ]
        with m.FSM() as fsm:
            with m.State("WAIT"):
                m.d.comb += self.block.ready.eq(1)
                m.d.sync += block.eq(self.block.p)
                with m.If(self.block.valid):
                    m.next = "RESTART"
            with m.State("RESTART"):
                m.d.comb += begins.eq(1)
                m.next = "KIND"
            with m.State("KIND"):
                m.d.comb += asked.eq(Reg.INPUT)
                m.next = "INPUTS"
            with m.State("INPUTS"):
                m.d.comb += asked.eq(Reg.INPUTS)
                m.next = "CLASSES"
            with m.State("CLASSES"):
                m.d.comb += asked.eq(Reg.CLASSES)
                m.next = "TAKE_KIND"
            with m.State("TAKE_KIND"):
                # Register contents are valid REGISTER_CYCLES after their addresses, one in each cycle.
                m.d.sync += network.kind.eq(self.register_r_data)
                m.next = "TAKE_INPUTS"
            with m.State("TAKE_INPUTS"):
                m.d.sync += network.inputs.eq(self.register_r_data)
                m.next = "TAKE_CLASSES"
            with m.State("TAKE_CLASSES"):
                m.d.sync += network.classes.eq(self.register_r_data)
                m.next = "SET"
            with m.State("SET"):
                m.d.comb += sets.eq(1)
                m.next = "RUN"
            with m.State("RUN"):
                with m.If(result.done):
                    m.next = "WAIT"
        runs = fsm.ongoing("RUN")
        m.d.comb += [
            self.running.eq(~fsm.ongoing("WAIT")),
            result.ended.eq(runs & reader.ended),
            self.register_addr.eq(Mux(runs, result.register_addr, asked)),
        ]
        return m
