"""Engine: passes, commands, lanes, and the rows they work on."""

from typing import Any

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from opzo.hw.counters import counted
from opzo.hw.error.error_path import LaneSumsSignature
from opzo.hw.error.feedback_scale import FeedbackScales
from opzo.hw.error.ports import ErrorProgressSignature, ErrorReadSignature
from opzo.hw.gradients.scale import MAGNITUDE_CYCLES, GradientScale
from opzo.hw.input.active_rows import ActiveRows
from opzo.hw.input.event_buffer import EventCountSignature, EventReadSignature
from opzo.hw.lanes.lane_command import AfterWord
from opzo.hw.lanes.lanes import Lanes
from opzo.hw.lib.check import check
from opzo.hw.lib.record import record
from opzo.hw.memory_port import MemoryPort, RowPortSignature
from opzo.hw.neurons.word_credits import error_command
from opzo.hw.registers import LAYER, FeedbackShiftSignature, MagnitudeSignature, layers_layout
from opzo.hw.run_control import RunSignature
from opzo.hw.schedule.filler import LOSSES
from opzo.hw.schedule.issue import Issue
from opzo.hw.schedule.passes import Kind, tag_layout
from opzo.hw.schedule.row_order import check_local_rows
from opzo.hw.schedule.sequencer import Sequencer
from opzo.hw.timing import ACCUMULATED, GRADIENT, RESULT, ROW, local_stage, word_stage
from opzo.spec.fixed_network import FixedNetwork
from opzo.spec.limits import Limits
from opzo.spec.registers import LEARNING_COUNTERS, Counter, layer_counters

_COUNTED = (
    *(Counter.INTEGRATE, Counter.FIRE, Counter.FEEDBACK, Counter.LEARN, Counter.EVENTS),
    *(Counter.MEMBRANE_SATURATIONS, Counter.CREDIT_SATURATIONS),
    *(Counter.WEIGHT_SATURATIONS, Counter.FEEDBACK_SATURATIONS),
)
_COUNTED_BY_CONVOLUTIONS = (Counter.ACCUMULATE, Counter.GRADIENT_SATURATIONS)


class Engine(wiring.Component):
    """Go through the passes of a run: rows to commands, commands to the lanes, spikes to lists and traces.

    Parameters
    ----------
    limits : Limits
    fixed : FixedNetwork or None
        Network of a device that only infers.

    Members
    -------
    run : In(RunSignature), layers : In(layers_layout)
        Run in progress; settings of the layers.
    clear_traces : In(1)
        Strobe.
    event_counts : In(EventCountSignature), events : Out(EventReadSignature)
        Events of the run.
    rows : In(RowPortSignature)
        The host's access to the memories.
    sums : Out(LaneSumsSignature), shift : In(1)
        What the lanes have summed up for readouts; ``shift`` moves the chain on.
    error : In(error_command)
        Errors of the network's readouts, to the lanes.
    error_progress : In(ErrorProgressSignature), error_read : Out(ErrorReadSignature)
    feedback_shifts : Out(FeedbackShiftSignature)
        New shifts, at the end of a run that has measured the feedback matrices.
    magnitude : Out(MagnitudeSignature)
        New MAGNITUDE of a convolution whose weights were changed.
    rows_busy : Out(1)
        Traces are being advanced, cleared or marked.
    done : Out(1)
        All passes of the run have ended.
    counted : Out
        Increments of the counters of work, saturations and spikes.
    """

    run: Any
    layers: data.View
    clear_traces: Signal
    event_counts: Any
    events: Any
    rows: Any
    sums: Any
    shift: Signal
    error: data.View
    error_progress: Any
    error_read: Any
    feedback_shifts: Any
    magnitude: Any
    rows_busy: Signal
    done: Signal
    counted: data.View

    def __init__(self, limits: Limits, fixed: FixedNetwork | None = None) -> None:
        self._limits, self._fixed = limits, fixed
        super().__init__(
            {
                "run": In(RunSignature()),
                "layers": In(layers_layout(limits)),
                "clear_traces": In(1),
                "event_counts": In(EventCountSignature(limits)),
                "events": Out(EventReadSignature(limits)),
                "rows": In(RowPortSignature()),
                "sums": Out(LaneSumsSignature(limits)),
                "shift": In(1),
                "error": In(error_command(limits)),
                "error_progress": In(ErrorProgressSignature(limits)),
                "error_read": Out(ErrorReadSignature(limits)),
                "feedback_shifts": Out(FeedbackShiftSignature(limits)),
                "rows_busy": Out(1),
                "done": Out(1),
                "magnitude": Out(MagnitudeSignature(limits)),
                "counted": Out(counted(*_counted(limits), *layer_counters(limits))),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        limits, run = self._limits, self.run
        m.submodules.sequencer = sequencer = Sequencer(limits)
        m.submodules.issue = issue = Issue(limits)
        m.submodules.lanes = lanes = Lanes(limits, self._fixed)
        m.submodules.active_rows = active_rows = ActiveRows(limits)
        m.submodules.memory_port = port = MemoryPort(limits)
        # Tags accompany the commands and, after them, the words: tag s belongs to the command that was at stage 0 s
        # cycles before.
        stages = max(word_stage(limits), local_stage(limits)) + 1
        tags = [record(tag_layout(limits), f"tag_{s}") for s in range(stages)]
        m.d.sync += [after.eq(before) for after, before in zip(tags, [issue.tag, *tags], strict=False)]

        for unit in (sequencer, issue, active_rows):
            wiring.connect(m, wiring.flipped(self.run), unit.run)
        wiring.connect(m, wiring.flipped(self.event_counts), sequencer.events)
        wiring.connect(m, active_rows.progress, sequencer.rows)
        wiring.connect(m, wiring.flipped(self.error_progress), sequencer.error)
        wiring.connect(m, issue.lists, active_rows.lists)
        wiring.connect(m, issue.errors, wiring.flipped(self.error_read))
        wiring.connect(m, wiring.flipped(self.rows), port.rows)

        op, command, traces = sequencer.op, issue.command, active_rows.traces
        m.d.comb += [
            sequencer.layers.eq(self.layers),
            issue.op.eq(op),
            issue.below.eq(sequencer.below),
            issue.event_begin.eq(sequencer.event_begin),
            active_rows.layers.eq(self.layers),
            active_rows.clear.eq(self.clear_traces),
            active_rows.mark.eq(issue.mark),
            self.rows_busy.eq(active_rows.busy),
            lanes.take_credits.eq(issue.load),
            lanes.filter.eq(sequencer.filter),
            lanes.error.eq(self.error),
            lanes.settings.alpha.eq(run.config.alpha),
            lanes.settings.activity.eq(run.config.activity),
            self.sums.chain.eq(lanes.shift_chain.output.value),
            self.sums.local_sum.eq(lanes.local_sum),
            self.sums.soon.eq(tags[ACCUMULATED - 1].after_word == AfterWord.READOUT),
            self.sums.tag.eq(tags[ACCUMULATED]),
            self.sums.local_tag.eq(tags[local_stage(limits)]),
            self.events.index.eq(issue.events.index),
            issue.events.address.eq(self.events.address),
            issue.events.value.eq(self.events.value),
        ]
        if limits.learning:
            m.submodules.scales = scales = FeedbackScales(limits)
            wiring.connect(m, wiring.flipped(self.run), scales.run)
            wiring.connect(m, scales.feedback_shifts, wiring.flipped(self.feedback_shifts))
            m.d.comb += [
                self.done.eq(sequencer.done & scales.done),
                issue.measure.eq(scales.measure),
                scales.tag.eq(tags[ROW]),
                scales.row.eq(lanes.lane_0_row),
            ]
        else:
            m.d.comb += self.done.eq(sequencer.done)
        # The memory port uses lanes and traces while no pass does. Registered, as late as the port's command: the port
        # waits long enough for a trace, and after it nothing runs for some cycles.
        port_asks = Signal()
        m.d.sync += port_asks.eq(port.rows.busy)
        m.d.comb += [
            port.chain.eq(lanes.shift_chain.output.value),
            port.neuron_trace.eq(traces.neuron_entry),
            port.input_trace.eq(traces.input_entry),
            issue.traces.neuron_entry.eq(traces.neuron_entry),
            issue.traces.word_row.eq(traces.word_row),
            issue.traces.input_entry.eq(traces.input_entry),
            traces.neuron.eq(Mux(port_asks, port.trace_index, issue.traces.neuron)),
            traces.input.eq(Mux(port_asks, port.trace_index, issue.traces.input)),
            lanes.command.eq(Mux(port_asks, port.lane_command, command)),
            lanes.shift_chain.shift.eq(port.shift | self.shift),
            lanes.shift_chain.input.value.eq(port.chain_in),
        ]

        if limits.learning:
            check_local_rows(m, command, issue.tag)
        check(m, "port", ~port.rows.busy | sequencer.done, "the memory port moves a row while a pass runs")

        word, fired = tags[word_stage(limits)], active_rows.fired
        m.d.sync += [
            fired.valid.eq(lanes.results.done & (word.after_word == AfterWord.FIRE)),
            fired.p.layer.eq(word.layer),
            fired.p.parity.eq(word.step[0]),
            fired.p.step.eq(word.step),
            fired.p.word.eq(word.word),
            fired.p.spikes.eq(lanes.results.spikes),
            fired.p.last.eq(word.last_word),
        ]
        # Saturations of rows pass through registers of the groups, and of all.
        is_feedback = tags[RESULT + 2].feedback
        event = op.valid & (op.kind == Kind.INPUT) & op.first_word & ~op.bias
        accumulates = Signal()
        applies = Signal()
        shared_saturated = Signal()
        if limits.gradients:
            event = (event & ~op.windows) | active_rows.event
            self._connect_windows(m, sequencer, active_rows)
        if limits.gradients and limits.learning:
            m.d.comb += [
                accumulates.eq(command.accumulate),
                applies.eq(command.apply),
                shared_saturated.eq(lanes.shared_saturated),
            ]
            self._connect_gradients(m, sequencer, lanes, command, tags)
        increments = {
            Counter.INTEGRATE: command.integrate,
            Counter.FIRE: command.kept & (command.after_word == AfterWord.FIRE),
            Counter.FEEDBACK: command.feedback | issue.tag.local,
            Counter.LEARN: (command.learn & ~accumulates) | applies,
            Counter.EVENTS: event,
            Counter.MEMBRANE_SATURATIONS: lanes.results.membrane_saturated,
            Counter.CREDIT_SATURATIONS: lanes.results.credit_saturated | shared_saturated,
            Counter.WEIGHT_SATURATIONS: lanes.row_saturated & ~is_feedback,
            Counter.FEEDBACK_SATURATIONS: lanes.row_saturated & is_feedback,
        }
        if limits.gradients and limits.learning:
            increments |= {
                Counter.ACCUMULATE: accumulates,
                Counter.GRADIENT_SATURATIONS: lanes.gradient_saturated,
            }
        m.d.comb += [self.counted[counter.name.lower()].eq(increments[counter]) for counter in _counted(limits)]
        m.d.comb += [self.counted[name].eq(active_rows.counted[name]) for name, _ in active_rows.counted.shape()]
        return m

    def _connect_windows(self, m: Module, sequencer: Sequencer, active_rows: ActiveRows) -> None:
        """Ends of positions, and events."""
        wiring.connect(m, sequencer.ends, active_rows.ends)
        m.d.comb += [
            active_rows.all_fired.eq(sequencer.all_fired),
            active_rows.step_events.eq(sequencer.step_events),
            active_rows.events.address.eq(self.events.address),
            active_rows.events.value.eq(self.events.value),
        ]
        with m.If(~active_rows.progress.events_done):
            m.d.comb += self.events.index.eq(active_rows.events.index)

    def _connect_gradients(
        self, m: Module, sequencer: Sequencer, lanes: Lanes, command: data.View, tags: list[data.View]
    ) -> None:
        """Losses, and the shift of gradients."""
        m.submodules.gradient_scale = scale = GradientScale(self._limits)
        losses = record(LOSSES, "losses", reset_less=True)
        with m.If(command.feedback & command.zero_order):
            m.d.sync += losses[command.step].eq(command.operand)
        # The pass that applies gradients starts after the search; the next search comes after the last gradient.
        layer = Signal.like(self.magnitude.layer)
        applied = Signal(MAGNITUDE_CYCLES)
        tag = tags[GRADIENT]
        m.d.sync += applied.eq(Cat(tag.apply & tag.last & tag.last_word, applied))
        with m.If(tag.apply):
            m.d.sync += layer.eq(tag.layer)
        m.d.comb += [
            sequencer.losses.eq(losses),
            sequencer.scale_ready.eq(scale.ready),
            scale.start.eq(sequencer.scale_start),
            lanes.gradient_shift.eq(scale.shift),
            scale.gradient.valid.eq(tag.apply),
            scale.gradient.value.eq(lanes.lane_0_gradient),
            self.magnitude.valid.eq(applied[-1]),
            self.magnitude.layer.eq(layer),
            self.magnitude.value.eq(scale.magnitude_after),
        ]
        held = record(data.StructLayout({name: LAYER[name].shape for name in ("words", "rows", "magnitude")}), "scaled")
        with m.If(sequencer.scale_start):
            m.d.sync += [held[name].eq(sequencer.settings[name]) for name, _ in held.shape()]
        chosen = [Mux(sequencer.scale_start, sequencer.settings[name], held[name]) for name, _ in held.shape()]
        m.d.comb += [
            *(getattr(scale, name).eq(value) for (name, _), value in zip(held.shape(), chosen, strict=True)),
            scale.rate.eq(self.run.config.convolution_rate),
        ]


def _counted(limits: Limits) -> tuple[Counter, ...]:
    """Counters of the engine, without those by layer."""
    counters = (*_COUNTED, *(_COUNTED_BY_CONVOLUTIONS if limits.gradients else ()))
    return tuple(counter for counter in counters if limits.learning or counter not in LEARNING_COUNTERS)
