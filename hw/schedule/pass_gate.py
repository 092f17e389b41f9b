"""Pass gate: whether the waiting pass may start, and how many ops its words have."""

from typing import Any, NamedTuple

from amaranth import Array, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from opzo.hw.decode import decode_input, decode_rule
from opzo.hw.input.active_rows import RowProgressSignature
from opzo.hw.input.event_buffer import EventCountSignature
from opzo.hw.input.event_ends import step_events
from opzo.hw.lib.check import check, monitor
from opzo.hw.lib.record import record
from opzo.hw.registers import CONFIG
from opzo.hw.schedule.passes import Kind, of_learning, pass_layout
from opzo.hw.schedule.progress import ProgressSignature
from opzo.hw.schedule.runner import StartSignature
from opzo.spec.formats import HISTORY_STEPS
from opzo.spec.limits import Limits


class _Permission(NamedTuple):
    """Permission for the waiting pass and its ops, which are found; counts, and whether the shift is known."""

    may_start: Signal
    ops: Signal
    actives: Value
    inputs: Value
    scale_found: Signal


class PassGate(wiring.Component):
    """Let a pass start once everything it reads is complete.

    The pass is examined in two stages: first the pass itself and the counts that it names, then how far the run is.

    Members
    -------
    config : In(CONFIG)
        Settings of the run.
    waiting : In(1), next_pass : In(pass_layout), running : In(1)
        Whether a pass waits, and which; whether one is running.
    start : Out(StartSignature)
        Permission for the runner.
    events : In(EventCountSignature), rows : In(RowProgressSignature), progress : In(ProgressSignature)
        How far events, lists and the run are.
    event_begin : Out
        First event of the running pass' time step.
    on_inputs : In(1), step_events : Out(step_events)
        Whether the running pass reads events; the waiting one asks for the ends of positions in those of its time step.
    scale_start : Out(1), scale_ready : In(1)
        The waiting pass asks for the shift of gradients, in one cycle; whether that is known.
    """

    config: data.View
    waiting: Signal
    next_pass: data.View
    running: Signal
    start: Any
    events: Any
    rows: Any
    progress: Any
    event_begin: Signal
    on_inputs: Signal
    step_events: data.View
    scale_start: Signal
    scale_ready: Signal

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        super().__init__(
            {
                "config": In(CONFIG),
                "waiting": In(1),
                "next_pass": In(pass_layout(limits)),
                "running": In(1),
                "start": Out(StartSignature(limits)),
                "events": In(EventCountSignature(limits)),
                "rows": In(RowProgressSignature(limits)),
                "progress": In(ProgressSignature(limits)),
                "event_begin": Out(limits.row_bits),
                "on_inputs": In(1),
                "step_events": Out(step_events(limits)),
                "scale_start": Out(1),
                "scale_ready": In(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        progress, rows, start = self.progress, self.rows, self.start
        frame = Signal()
        m.d.comb += frame.eq(~decode_input(self.config.input).events)

        # Stage 1. The counts are complete when the pass may start, and stay.
        spikes, actives, inputs, events = self._count_ops(m, frame)
        waiting = record(pass_layout(self._limits), "waiting_pass", reset_less=True)
        settled = Signal()
        local = Signal(reset_less=True)
        teacher = Signal.like(waiting.below, reset_less=True)
        m.d.sync += [
            teacher.eq(self.config.intermediate - 1),
            waiting.eq(self.next_pass),
            settled.eq(self.waiting & ~start.taken),
            local.eq(self.next_pass.settings.local_shift != 0),
        ]

        # Stage 2.
        step, layer, below = waiting.step, waiting.layer[: len(waiting.below)], waiting.below
        # The next step of a neuron needs the last one written; a step of the layer below must be complete.
        fired_last = Array(fired >= step for fired in progress.fired_steps)
        fired_this = Array(fired > step for fired in progress.fired_steps)
        may_start = Signal()
        ops = Signal.like(start.ops)
        events_found = Signal()
        scale_found = Signal()
        self._prepare(m, waiting, settled, events_found, scale_found)
        with m.Switch(waiting.kind):
            with m.Case(Kind.INPUT):
                first = progress.quiet & (frame | rows.traces_ready)
                if self._limits.gradients:
                    first &= rows.inputs_ready
                m.d.comb += may_start.eq(Mux(step == 0, first, fired_last[0]) & events_found)
                m.d.comb += ops.eq(events + 1)
            with m.Case(Kind.FIRE):
                # Step 0 needs the input current, which is stored while the pass before it ends, and its spikes mark
                # traces.
                m.d.comb += may_start.eq(Mux(step == 0, ~self.running & rows.traces_ready, fired_last[0]))
                m.d.comb += ops.eq(1)
            with m.Case(Kind.SPIKES):
                ready = Mux(waiting.readout, ~progress.reading_out, fired_last[layer])
                m.d.comb += may_start.eq(fired_this[below] & ready)
                m.d.comb += ops.eq(spikes + 1)
            if self._limits.learning:
                permission = _Permission(may_start, ops, actives, inputs, scale_found)
                self._learn(m, waiting, permission, local, teacher)
        m.d.sync += [
            start.may_start.eq(may_start & settled & ~start.taken),
            start.ops.eq(ops),
        ]
        check(m, "early", ~start.taken | (settled & may_start), "a pass starts before its inputs are complete")
        monitor(m, "permission", self._watch_permission)
        return m

    def _learn(self, m: Module, waiting: data.View, permission: _Permission, local: Signal, teacher: Signal) -> None:
        """Cases of the passes of learning, in the switch over the kind of the waiting pass.

        ``local``: its layer has a local readout; ``teacher``: the layer whose local readout teaches those before it.
        """
        progress, rows, classes = self.progress, self.rows, self.config.classes
        step, layer = waiting.step, waiting.layer[: len(waiting.below)]
        may_start, ops = permission.may_start, permission.ops
        fired_this = Array(fired > step for fired in progress.fired_steps)
        local_errors = Array(steps > step for steps in progress.local_steps)
        # Entries that the layer's last step updates must be written before they are read again.
        entries_written = progress.feedback_quiet.bit_select(layer, 1)
        with m.Case(Kind.FEEDBACK):
            has_errors = (progress.error_steps > step) & (~local | local_errors[layer])
            m.d.comb += may_start.eq(has_errors & entries_written)
            of_matrix = Mux(decode_rule(self.config.rule).from_loss, 1, classes)
            m.d.comb += ops.eq(of_matrix + Mux(local, classes, 0))
            if self._limits.gradients:
                with m.If(waiting.intermediate & ~decode_rule(self.config.rule).from_loss):
                    m.d.comb += may_start.eq(has_errors & entries_written & local_errors[teacher])
                    m.d.comb += ops.eq((of_matrix << 1) + Mux(local, classes, 0))
        with m.Case(Kind.LOCAL):
            m.d.comb += may_start.eq(fired_this[layer] & ~progress.reading_out & entries_written)
            m.d.comb += ops.eq(waiting.settings.block_words)
        with m.Case(Kind.LEARN_SPIKES):
            m.d.comb += may_start.eq((progress.error_steps == self.config.steps) & rows.lists_done)
            m.d.comb += ops.eq(permission.actives + 1)
        with m.Case(Kind.LEARN_INPUT):
            m.d.comb += may_start.eq(1)
            m.d.comb += ops.eq(permission.inputs + 1)
        with m.Case(Kind.APPLY):
            # The last updates must have been added to the gradients.
            m.d.comb += may_start.eq(permission.scale_found & progress.quiet & ~self.running)
            m.d.comb += ops.eq(waiting.settings.rows)

    def _prepare(
        self, m: Module, waiting: data.View, settled: Signal, events_found: Signal, scale_found: Signal
    ) -> None:
        """Ask for what the waiting pass needs: once, and when its sources are free."""
        if not self._limits.gradients:
            m.d.comb += events_found.eq(1)
            return
        # ``asked``: the strobe is out, or was before; ``begun``: its sources are at work, or have finished.
        asked = Signal()
        begun = Signal()
        free = Signal()
        m.d.sync += free.eq(~(self.running & self.on_inputs))
        finds_events = (waiting.kind == Kind.INPUT) & waiting.windows & self.rows.inputs_ready
        # Gradients that were applied before have been summed up by then.
        finds_shift = of_learning(self._limits, (waiting.kind == Kind.APPLY) & self.progress.quiet)
        asks = settled & ~asked & free & ~self.start.taken & (finds_events | finds_shift)
        # Registered: whether the runner takes a pass is known late.
        m.d.sync += [
            self.step_events.valid.eq(asks & finds_events),
            self.scale_start.eq(asks & ~finds_events),
            begun.eq(asked & ~self.start.taken),
        ]
        m.d.comb += [
            self.step_events.begin.eq(self._begin),
            self.step_events.end.eq(self._end),
            self.step_events.step.eq(waiting.step),
            events_found.eq(~waiting.windows | (begun & self.rows.events_done)),
            scale_found.eq(begun & self.scale_ready),
        ]
        with m.If(self.start.taken):
            m.d.sync += asked.eq(0)
        with m.Elif(asks):
            m.d.sync += asked.eq(1)

    def _watch_permission(self, m: Module) -> None:
        """The permission is two cycles old when the runner uses it; it must not be for the pass before."""
        seen = [Signal(self.next_pass.shape().size, name=f"seen_{n}") for n in range(2)]
        m.d.sync += [seen[0].eq(self.next_pass), seen[1].eq(seen[0])]
        same = (seen[0] == self.next_pass.as_value()) & (seen[1] == self.next_pass.as_value())
        check(m, "same", ~self.start.taken | same, "a pass starts with the permission of the pass before it")

    def _count_ops(self, m: Module, frame: Signal) -> tuple[Value, ...]:
        """Spikes, active neurons, active inputs and events of the waiting pass, from stage 1 on."""
        events, rows, next_pass = self.events, self.rows, self.next_pass
        spikes, actives, inputs, begin, end = (
            Signal.like(self.start.ops, name=name, reset_less=True)
            for name in ("spikes", "actives", "inputs", "begin", "end")
        )
        self._begin, self._end = begin, end
        # All values of a frame come in step 0.
        first_end = Signal.like(end)
        m.d.sync += first_end.eq(Mux(frame, events.count, events.ends[0]))
        begins = Array([0, *(events.ends[n] for n in range(HISTORY_STEPS - 1))])
        ends = Array([first_end, *(events.ends[n] for n in range(1, HISTORY_STEPS))])
        below, step = next_pass.below, next_pass.step
        m.d.sync += [
            begin.eq(begins[step]),
            end.eq(ends[step]),
            spikes.eq(Array(rows.step_counts[n] for n in range(self._limits.layers))[below][step[0]]),
            actives.eq(Array(rows.active_counts[n] for n in range(self._limits.layers))[below]),
            inputs.eq(Mux(frame, events.count, rows.input_count)),
        ]
        with m.If(self.start.taken):
            m.d.sync += self.event_begin.eq(begin)
        return spikes, actives, inputs, end - begin
