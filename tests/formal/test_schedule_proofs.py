"""Schedule: no row is read between read and write of its update."""

from typing import Any

import pytest
from amaranth import Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped
from proof import Proof, mutant
from streams import assume_held

from opzo.hw.decode import decode_rule
from opzo.hw.error.ports import ErrorProgressSignature
from opzo.hw.input.active_rows import RowProgressSignature
from opzo.hw.input.event_buffer import EventCountSignature
from opzo.hw.registers import CONFIG
from opzo.hw.schedule import pass_gate, progress
from opzo.hw.schedule.passes import Kind, op_layout, pass_layout
from opzo.hw.schedule.runner import PassRunner
from opzo.hw.schedule.word_gate import WordGate
from opzo.hw.timing import QUIET_CYCLES, RESULT
from opzo.spec.limits import Limits

pytestmark = pytest.mark.formal

LIMITS = Limits(lanes=4, rows=16, inputs=4, words=2, classes=3, layers=2)


class Gated(wiring.Component):
    """What `Sequencer` consists of, but the passes come from outside and may be any."""

    def __init__(self, gate: Any = pass_gate, progress: Any = progress) -> None:
        self._gate, self._progress = gate, progress
        super().__init__(
            {
                "passes": In(stream.Signature(pass_layout(LIMITS))),
                "config": In(CONFIG),
                "begins": In(1),
                "train": In(1),
                "filled": In(1),
                "events": In(EventCountSignature(LIMITS)),
                "rows": In(RowProgressSignature(LIMITS)),
                "error": In(ErrorProgressSignature(LIMITS)),
                "op": Out(op_layout(LIMITS)),
                "taken": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.runner = runner = PassRunner(LIMITS)
        m.submodules.progress = run_progress = self._progress.RunProgress(LIMITS)
        m.submodules.pass_gate = gate = self._gate.PassGate(LIMITS)
        m.submodules.word_gate = word_gate = WordGate(LIMITS)
        connect(m, flipped(self.passes), runner.passes)
        connect(m, gate.start, runner.start)
        connect(m, word_gate.words, runner.words)
        connect(m, flipped(self.events), gate.events)
        connect(m, flipped(self.rows), gate.rows)
        connect(m, flipped(self.error), run_progress.error)
        for each in (gate, word_gate):
            connect(m, run_progress.progress, each.progress)
            m.d.comb += [each.waiting.eq(runner.passes.valid), each.next_pass.eq(runner.passes.p)]
        for unit in (run_progress, word_gate):
            m.d.comb += [unit.start.eq(self.begins), unit.taken.eq(runner.start.taken), unit.op.eq(runner.op)]
        m.d.comb += [
            runner.classes.eq(self.config.classes),
            runner.intermediate.eq(self.config.intermediate),
            run_progress.next_pass.eq(runner.passes.p),
            run_progress.finished.eq(self.rows.finished),
            gate.config.eq(self.config),
            gate.running.eq(runner.running),
            word_gate.train.eq(self.train),
            word_gate.steps.eq(self.config.steps),
            word_gate.fill.filled.eq(self.filled),
            self.op.eq(runner.op),
            self.taken.eq(runner.start.taken),
        ]
        return m


def gated(unit: Gated) -> Proof:
    proof = Proof(unit)
    m, op = proof.m, unit.op
    assume_held(proof, "passes", unit.passes)
    config = proof.constant(CONFIG, "constant_config")
    proof.assume("config", unit.config.as_value() == config.as_value())
    proof.assume("classes", (config.classes >= 2) & (config.classes <= LIMITS.classes))
    waiting = unit.passes.p
    proof.assume("layers", (waiting.layer <= LIMITS.layers) & (waiting.below < LIMITS.layers))
    proof.assume("words", (waiting.settings.all_words != 0) & (waiting.settings.block_words != 0))
    # A layer that the solver chooses; cycles since its entries were updated, by the running pass and by earlier ones.
    layer = proof.constant(range(LIMITS.layers), "layer")
    ages = range(QUIET_CYCLES + 3)
    by_this, by_earlier = Signal(ages, name="by_this", init=ages[-1]), Signal(ages, name="by_earlier", init=ages[-1])
    # With a zero-order rule an op that is not local has no entry.
    has_entry = op.local | ~decode_rule(config.rule).from_loss
    updates = op.valid & (op.kind == Kind.FEEDBACK) & (op.layer == layer) & has_entry
    reads = updates | (op.valid & (op.kind == Kind.LOCAL) & (op.layer == layer))
    this = Mux(updates, 0, by_this)
    m.d.sync += [
        by_this.eq(Mux(this == ages[-1], this, this + 1)),
        by_earlier.eq(Mux(by_earlier == ages[-1], by_earlier, by_earlier + 1)),
    ]
    with m.If(unit.taken):
        m.d.sync += by_this.eq(ages[-1])
        with m.If(this < by_earlier):
            m.d.sync += by_earlier.eq(this + 1)
    proof.claim("entries_are_written", ~reads | (by_earlier >= RESULT))
    proof.cover("updates", updates & (layer == 1) & op.last)
    return proof


def test_no_entry_is_read_before_its_update_is_written() -> None:
    """Bounded, the first 14 cycles, for all passes in all orders, settings and progress of the other units.

    That is enough for two passes: the second one that reads the entries would have to begin within RESULT cycles after
    an op of the first, and how a pass is let in depends on what happened since the last op of its layer only. An
    unbounded proof would need what the counters of the runner are in each pass. Rows of weights are not part of it:
    Learn comes after all other passes of a run, takes each row of its lists once, and the next run begins when all is
    quiet; simulations assert that (`opzo.hw.lanes.checks`).
    """
    proof = gated(Gated())
    proof.bounded(14)
    proof.reached(8)


def test_a_gate_that_does_not_wait_for_entries_is_found() -> None:
    old = "m.d.comb += may_start.eq(has_errors & entries_written)\n                of_matrix"
    unit = mutant("opzo.hw.schedule.pass_gate", old, old.replace(" & entries_written", ""))
    gated(Gated(unit)).refute("entries_are_written", 14)


def test_a_progress_that_forgets_a_layer_is_found() -> None:
    old = "feedback & (self.op.layer == layer), written)"
    unit = mutant("opzo.hw.schedule.progress", old, "feedback & (self.op.layer == 0), written)")
    gated(Gated(progress=unit)).refute("entries_are_written", 14)
