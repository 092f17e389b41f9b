"""Result of a block: sums of the results of its runs, and the counters."""

from typing import Any

from amaranth.hdl import Array, Cat, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.fifo import SyncFIFO
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from opzo.hw.interface import RESULT, TAG_BITS
from opzo.hw.link.replies import BLOCK_WORDS, STATUS_BITS
from opzo.hw.store.block import BLOCK
from opzo.hw.store.sample_reader import GIVEN
from opzo.hw.timing import REGISTER_CYCLES
from opzo.spec.commands import ANSWERS, MOST_ANSWERS, Command
from opzo.spec.registers import COUNTER, Counter

MOST_RUNS = 4
"""Runs that may be in the core: two in its event buffer, one whose result is under way."""
HEAD_WORDS = len(ANSWERS[Command.RUN_STORED].fields)
"""End, samples, correct, loss, loss_high."""
COUNTER_WORDS = 2 * len(Counter)


class BlockResult(wiring.Component):
    """Collect the results of the runs of a block, then send the result of the block.

    Golden twin: ``opzo.sim.golden.store.GoldenStore``. Memory word: prediction and loss of sample k in rows 2 k and
    2 k + 1, for the first MOST_ANSWERS samples.

    Members
    -------
    begin : In(1)
        Strobe: a new block.
    given : In(stream of GIVEN)
        The runs that the core has got; its ``ready`` does not depend on ``valid``.
    result : In(stream of RESULT)
        From the core.
    ended : In(1), status : In
        No more runs come; end status of the block.
    answers : In(1), tag : In
        Of the block.
    idle : In(1)
        The core is idle, and its counters are exact.
    register_addr, register_r_data
        Read port of the core's registers, used after the block has ended.
    o : Out(stream of RESULT)
    done : Out(1)
        Strobe: the last word was taken.
    """

    begin: In(1)
    given: In(stream.Signature(GIVEN))
    result: In(stream.Signature(RESULT))
    ended: In(1)
    status: In(STATUS_BITS)
    answers: In(1)
    tag: In(TAG_BITS)
    idle: In(1)
    register_addr: Out(8)
    register_r_data: In(32)
    o: Out(stream.Signature(RESULT))
    done: Out(1)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.runs = runs = SyncFIFO(width=GIVEN.size, depth=MOST_RUNS)
        memory: Memory = Memory(shape=32, depth=2 * MOST_ANSWERS, init=[])
        m.submodules.memory = memory
        write, read = memory.write_port(), memory.read_port()
        oldest: Any = Signal(GIVEN)
        result = self.result
        samples, correct = (Signal(BLOCK["count"].shape, name=name) for name in ("samples", "correct"))
        loss = Signal(32 + BLOCK["count"].width)
        prediction = Signal(32)
        sample_loss = Signal(32)
        is_correct = Signal()
        adds = Signal()
        arrives = Signal()
        m.d.comb += [
            runs.w_data.eq(self.given.p),
            runs.w_en.eq(self.given.valid),
            self.given.ready.eq(runs.w_rdy),
            oldest.eq(runs.r_data),
            result.ready.eq(1),
            arrives.eq(result.valid & result.p.last),
            runs.r_en.eq(arrives),
            write.addr.eq(Cat(result.p.last, samples)),
            write.data.eq(result.p.data),
            write.en.eq(result.valid),
        ]
        with m.If(result.valid & result.p.first):
            m.d.sync += prediction.eq(result.p.data)
        # A wide sum: its terms are registered.
        m.d.sync += [
            adds.eq(arrives & oldest.last),
            sample_loss.eq(result.p.data),
            is_correct.eq(prediction == oldest.label),
        ]
        with m.If(arrives & oldest.last):
            m.d.sync += samples.eq(samples + 1)
        with m.If(adds):
            m.d.sync += [loss.eq(loss + sample_loss), correct.eq(correct + is_correct)]
        with m.If(self.begin):
            m.d.sync += [samples.eq(0), correct.eq(0), loss.eq(0)]

        index = Signal(range(BLOCK_WORDS))
        last = Signal.like(index)
        answer = Signal(range(2 * MOST_ANSWERS))
        wait = Signal(range(REGISTER_CYCLES + 1))
        head = Array([self.status, samples, correct, loss[:32], loss[32:]])
        answers_from = HEAD_WORDS + COUNTER_WORDS
        m.d.comb += [read.addr.eq(answer), self.o.p.tag.eq(self.tag)]
        with m.FSM():
            with m.State("COLLECT"):
                m.d.sync += [
                    index.eq(0),
                    answer.eq(0),
                    self.register_addr.eq(COUNTER),
                    last.eq(answers_from - 1 + Mux(self.answers, samples << 1, 0)),
                    wait.eq(REGISTER_CYCLES),
                ]
                with m.If(self.ended & self.idle & ~runs.r_rdy & ~adds):
                    m.next = "FETCH"
            with m.State("FETCH"):
                m.d.sync += wait.eq(wait - 1)
                with m.If(wait == 0):
                    m.next = "LOAD"
            with m.State("LOAD"):
                m.d.sync += [
                    self.o.p.data.eq(self.register_r_data),
                    self.o.p.first.eq(0),
                    self.o.p.last.eq(index == last),
                ]
                with m.If(index < HEAD_WORDS):
                    m.d.sync += [self.o.p.data.eq(head[index]), self.o.p.first.eq(index == 0)]
                with m.Elif(index >= answers_from):
                    m.d.sync += [self.o.p.data.eq(read.data), answer.eq(answer + 1)]
                with m.Else():
                    m.d.sync += self.register_addr.eq(self.register_addr + 1)
                m.next = "SEND"
            with m.State("SEND"):
                m.d.comb += self.o.valid.eq(1)
                m.d.sync += wait.eq(REGISTER_CYCLES)
                with m.If(self.o.ready):
                    m.d.sync += index.eq(index + 1)
                    m.next = "FETCH"
                    with m.If(self.o.p.last):
                        m.d.comb += self.done.eq(1)
                        m.next = "COLLECT"
        return m
