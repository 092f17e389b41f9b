"""Sequencer: starts each pass of a run once its inputs are complete."""

from typing import Any

from amaranth import Module, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from opzo.hw.error.ports import ErrorProgressSignature
from opzo.hw.input.active_rows import RowProgressSignature
from opzo.hw.input.event_buffer import EventCountSignature
from opzo.hw.lanes.lane_command import filter_command
from opzo.hw.lib.check import check_stream
from opzo.hw.registers import hidden_layers, layers_layout
from opzo.hw.run_control import RunSignature
from opzo.hw.schedule.filler import FilterFiller
from opzo.hw.schedule.pass_gate import PassGate
from opzo.hw.schedule.passes import op_layout
from opzo.hw.schedule.progress import RunProgress
from opzo.hw.schedule.runner import PassRunner
from opzo.hw.schedule.schedule import Schedule
from opzo.hw.schedule.word_gate import WordGate
from opzo.spec.network import Limits


class Sequencer(wiring.Component):
    """Schedule, pass runner and filter filler, and the gates that decide when passes and words may start.

    Members
    -------
    run : In(RunSignature), layers : In(layers_layout)
        Run in progress; settings of the layers.
    events : In(EventCountSignature), rows : In(RowProgressSignature), error : In(ErrorProgressSignature)
        How far the inputs of the passes are.
    op : Out(op_layout)
        Op of this cycle.
    filter : Out(filter_command)
        Command to the credit filters.
    below, event_begin : Out
        Lists that the running pass reads, and the first event of its time step.
    done : Out(1)
        All passes have ended and left the lanes; from then until the start of the next run.
    """

    run: Any
    layers: data.View
    events: Any
    rows: Any
    error: Any
    op: data.View
    filter: data.View
    below: Signal
    event_begin: Signal
    done: Signal

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        super().__init__(
            {
                "run": In(RunSignature()),
                "layers": In(layers_layout(limits)),
                "events": In(EventCountSignature(limits)),
                "rows": In(RowProgressSignature(limits)),
                "error": In(ErrorProgressSignature(limits)),
                "op": Out(op_layout(limits)),
                "filter": Out(filter_command(limits)),
                "below": Out(hidden_layers(limits)),
                "event_begin": Out(limits.row_bits),
                "done": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        limits, run = self._limits, self.run
        m.submodules.schedule = schedule = Schedule(limits)
        m.submodules.runner = runner = PassRunner(limits)
        m.submodules.filler = filler = FilterFiller(limits)
        m.submodules.progress = progress = RunProgress(limits)
        m.submodules.pass_gate = pass_gate = PassGate(limits)
        m.submodules.word_gate = word_gate = WordGate(limits)
        connect(m, schedule.passes, runner.passes)
        check_stream(m, "passes", schedule.passes)
        connect(m, pass_gate.start, runner.start)
        connect(m, word_gate.words, runner.words)
        connect(m, word_gate.fill, filler.fill)
        connect(m, flipped(self.events), pass_gate.events)
        connect(m, flipped(self.rows), pass_gate.rows)
        connect(m, flipped(self.error), progress.error)
        for gate in (pass_gate, word_gate):
            connect(m, progress.progress, gate.progress)
            m.d.comb += [gate.waiting.eq(runner.passes.valid), gate.next_pass.eq(runner.passes.p)]
        for unit in (progress, word_gate):
            m.d.comb += [unit.start.eq(run.start), unit.taken.eq(runner.start.taken), unit.op.eq(runner.op)]
        m.d.comb += [
            schedule.config.eq(run.config),
            schedule.layers.eq(self.layers),
            schedule.start.eq(run.start),
            schedule.train.eq(run.train),
            runner.classes.eq(run.config.classes),
            filler.config.eq(run.config),
            filler.layers.eq(self.layers),
            progress.next_pass.eq(runner.passes.p),
            progress.finished.eq(self.rows.finished),
            pass_gate.config.eq(run.config),
            pass_gate.running.eq(runner.running),
            word_gate.train.eq(run.train),
            word_gate.steps.eq(run.config.steps),
            self.op.eq(runner.op),
            self.filter.eq(filler.command),
            self.below.eq(runner.current.below),
            self.event_begin.eq(pass_gate.event_begin),
        ]
        ended = Signal(init=1)
        with m.If(run.start):
            m.d.sync += ended.eq(0)
        with m.Elif(runner.start.taken & runner.passes.p.last):
            m.d.sync += ended.eq(1)
        errors_done = progress.progress.error_steps == run.config.steps
        m.d.comb += self.done.eq(ended & ~runner.running & progress.progress.quiet & self.rows.lists_done & errors_done)
        return m
