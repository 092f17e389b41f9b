"""Sequencer: starts each pass of a run once its inputs are complete."""

from typing import Any

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from opzo.hw.error.ports import ErrorProgressSignature
from opzo.hw.input.active_rows import RowProgressSignature
from opzo.hw.input.event_buffer import EventCountSignature
from opzo.hw.input.event_ends import step_events
from opzo.hw.input.position_ends import ListKind, RunSpanSignature
from opzo.hw.lanes.lane_command import filter_command
from opzo.hw.lib.check import check_stream
from opzo.hw.registers import LAYER, hidden_layers, layers_layout
from opzo.hw.run_control import RunSignature
from opzo.hw.schedule.filler import LOSSES, FilterFiller
from opzo.hw.schedule.pass_gate import PassGate
from opzo.hw.schedule.passes import Kind, of_learning, op_layout
from opzo.hw.schedule.progress import RunProgress
from opzo.hw.schedule.runner import PassRunner
from opzo.hw.schedule.schedule import Schedule
from opzo.hw.schedule.window_scan import WindowScan
from opzo.hw.schedule.word_gate import WordGate
from opzo.spec.limits import Limits


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
    ends : Out(RunSpanSignature)
        Ends of the positions of the list whose windows the running pass reads.
    step_events : Out(step_events), all_fired : Out(1)
        As those of `ActiveRows`.
    scale_start : Out(1), scale_ready : In(1), settings : Out(LAYER)
        Strobe: the shift of the gradients of the layer with ``settings`` is asked for; whether it is known. The pass
        that changes the weights by them follows.
    losses : In(array)
        Scaled losses by time step, for the credits of convolutions under the zero-order rule.
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
    ends: Any
    step_events: data.View
    all_fired: Signal
    scale_start: Signal
    scale_ready: Signal
    settings: data.View
    losses: data.View
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
                "ends": Out(RunSpanSignature(limits)),
                "step_events": Out(step_events(limits)),
                "all_fired": Out(1),
                "scale_start": Out(1),
                "scale_ready": In(1),
                "settings": Out(LAYER),
                "losses": In(LOSSES),
                "done": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        limits, run = self._limits, self.run
        m.submodules.schedule = schedule = Schedule(limits)
        m.submodules.runner = runner = PassRunner(limits)
        m.submodules.progress = progress = RunProgress(limits)
        m.submodules.pass_gate = pass_gate = PassGate(limits)
        m.submodules.word_gate = word_gate = WordGate(limits)
        connect(m, schedule.passes, runner.passes)
        check_stream(m, "passes", schedule.passes)
        connect(m, pass_gate.start, runner.start)
        connect(m, word_gate.words, runner.words)
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
            runner.intermediate.eq(run.config.intermediate),
            progress.next_pass.eq(runner.passes.p),
            progress.finished.eq(self.rows.finished),
            pass_gate.config.eq(run.config),
            pass_gate.running.eq(runner.running),
            word_gate.train.eq(run.train),
            word_gate.steps.eq(run.config.steps),
            self.op.eq(runner.op),
            self.below.eq(runner.current.below),
            self.event_begin.eq(pass_gate.event_begin),
        ]
        if limits.gradients:
            self._scan_windows(m, runner, pass_gate, progress)
        if limits.learning:
            m.submodules.filler = filler = FilterFiller(limits)
            connect(m, word_gate.fill, filler.fill)
            m.d.comb += [
                filler.config.eq(run.config),
                filler.layers.eq(self.layers),
                filler.losses.eq(self.losses),
                filler.phase.eq(run.phase),
                self.filter.eq(filler.command),
            ]
        ended = Signal(init=1)
        with m.If(run.start):
            m.d.sync += ended.eq(0)
        with m.Elif(runner.start.taken & runner.passes.p.last):
            m.d.sync += ended.eq(1)
        errors_done = progress.progress.error_steps == run.config.steps
        m.d.comb += self.done.eq(ended & ~runner.running & progress.progress.quiet & self.rows.lists_done & errors_done)
        return m

    def _scan_windows(self, m: Module, runner: PassRunner, pass_gate: PassGate, progress: RunProgress) -> None:
        """What only passes of convolutions, and of dense layers behind them, need."""
        m.submodules.scan = scan = WindowScan(self._limits)
        connect(m, runner.window, scan.layer)
        connect(m, scan.rows, runner.rows)
        connect(m, scan.ends, flipped(self.ends))
        current, config = runner.current, self.run.config
        learns_input, learns_spikes = (
            of_learning(self._limits, current.kind == kind) for kind in (Kind.LEARN_INPUT, Kind.LEARN_SPIKES)
        )
        on_inputs = (current.kind == Kind.INPUT) | learns_input
        list_kind = Mux(learns_spikes, ListKind.ACTIVE.value, ListKind.STEP.value)
        fired = [
            (steps == config.steps) | (layer >= config.hidden_layers)
            for layer, steps in enumerate(progress.progress.fired_steps)
        ]
        m.d.comb += [
            scan.list.kind.eq(Mux(on_inputs, ListKind.INPUT.value, list_kind)),
            scan.list.layer.eq(current.below),
            scan.list.parity.eq(current.step[0]),
            runner.part_ends.eq(self.rows.part_ends),
            runner.quiet.eq(progress.progress.quiet),
            pass_gate.on_inputs.eq(on_inputs),
            pass_gate.scale_ready.eq(self.scale_ready),
            self.step_events.eq(pass_gate.step_events),
            self.scale_start.eq(pass_gate.scale_start),
            self.settings.eq(runner.passes.p.settings),
        ]
        # In the cycle of start the counts are still those of the run before.
        m.d.sync += self.all_fired.eq(Cat(fired).all() & ~self.run.start)
