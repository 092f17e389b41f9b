"""Word gate: when the first and the last op of a word may be issued."""

from typing import Any

from amaranth import Module, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from opzo.hw.lib.check import check
from opzo.hw.registers import CONFIG
from opzo.hw.schedule.filler import FillSignature
from opzo.hw.schedule.passes import Kind, is_learn, op_layout, pass_layout
from opzo.hw.schedule.progress import ProgressSignature
from opzo.hw.schedule.runner import WordSignature
from opzo.spec.limits import Limits


class WordGate(wiring.Component):
    """Let a word of Learn start once its filtered credits are in the lanes, and sums leave once the chain is free.

    Members
    -------
    start, train : In(1), steps : In
        Strobe: a run begins; whether it is learned from, and its time steps.
    waiting : In(1), next_pass : In(pass_layout), taken : In(1)
        Whether a pass waits, which, and a strobe in the cycle in which it is taken.
    op : In(op_layout)
        From the runner.
    progress : In(ProgressSignature)
    words : Out(WordSignature)
        Permissions for the runner.
    fill : Out(FillSignature)
        Pace of the filler.
    """

    start: Signal
    train: Signal
    steps: Signal
    waiting: Signal
    next_pass: data.View
    taken: Signal
    op: data.View
    progress: Any
    words: Any
    fill: Any

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        super().__init__(
            {
                "start": In(1),
                "train": In(1),
                "steps": In(CONFIG["steps"].shape),
                "waiting": In(1),
                "next_pass": In(pass_layout(limits)),
                "taken": In(1),
                "op": In(op_layout(limits)),
                "progress": In(ProgressSignature(limits)),
                "words": Out(WordSignature()),
                "fill": Out(FillSignature()),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        self._free_chain(m)
        if self._limits.learning:
            self._fill(m)
        return m

    def _fill(self, m: Module) -> None:
        """Pace of the filler, and the first op of a word of Learn."""
        op, words, fill = self.op, self.words, self.fill
        # The lanes take the word's tables TABLES_TAKEN cycles after this; the filler starts on the next one meanwhile.
        loads = Signal()
        loaded = Signal()
        ready = Signal()
        m.d.comb += loads.eq(op.valid & op.first & words.learns)
        m.d.sync += [loaded.eq(loads), ready.eq(fill.filled & ~loads & ~loaded)]
        m.d.comb += [words.ready.eq(ready), fill.loaded.eq(loaded)]
        check(m, "filled", ~loads | fill.filled, "a word is learned before its filtered credits are complete")

        learn_waits = self.waiting & is_learn(self.next_pass.kind)
        complete = Signal()
        was_complete = Signal()
        m.d.sync += was_complete.eq(complete)
        m.d.comb += [
            # In the cycle of start the count is still that of the run before.
            complete.eq(self.train & ~self.start & (self.progress.error_steps == self.steps)),
            fill.start.eq(complete & ~was_complete),
            fill.hidden_ready.eq((learn_waits | words.learns) & self.progress.credits_written),
        ]

    def _free_chain(self, m: Module) -> None:
        """The sums of a word leave the lanes through the shift chain, to the neurons or as readouts."""
        size, op, words = self._limits.lanes_per_group, self.op, self.words
        leaving = Signal(range(self._limits.lanes + 1))
        chain_free = Signal(init=1)
        reads_out = Signal()
        with m.If(self.taken):
            m.d.sync += reads_out.eq((self.next_pass.kind == Kind.SPIKES) & self.next_pass.readout)
        with m.If(op.valid & op.last & words.sums):
            m.d.sync += [leaving.eq(size - 1), chain_free.eq(0)]
            with m.If(reads_out & (op.valid_lanes > size)):
                m.d.sync += leaving.eq(op.valid_lanes - 1)
        with m.Elif(~chain_free):
            m.d.sync += [leaving.eq(leaving - 1), chain_free.eq(leaving == 1)]
        m.d.comb += words.chain_free.eq(chain_free)
