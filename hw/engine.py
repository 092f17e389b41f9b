"""Engine: passes, commands, lanes, and the rows they work on."""

from typing import Any

from amaranth import Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, Signature
from amaranth.utils import exact_log2

from opzo.hw.counters import counted
from opzo.hw.error.error_path import LaneSumsSignature
from opzo.hw.error.feedback_scale import FeedbackScales
from opzo.hw.error.ports import ErrorProgressSignature, ErrorReadSignature
from opzo.hw.input.active_rows import ActiveRows
from opzo.hw.interface import EVENT, MEMORY_COMMAND
from opzo.hw.lanes.lane_command import ACCUMULATED, RESULT, ROW, AfterWord, local_stage
from opzo.hw.lanes.lanes import Lanes, word_done_stage
from opzo.hw.lib.record import record
from opzo.hw.memory_port import WORD, MemoryPort
from opzo.hw.neurons.credits import error_command
from opzo.hw.registers import LAYERS, FeedbackShiftSignature
from opzo.hw.run_control import RunSignature
from opzo.hw.schedule.issue import Issue
from opzo.hw.schedule.passes import Kind, tag_layout
from opzo.hw.schedule.sequencer import Sequencer
from opzo.spec.formats import HISTORY_STEPS
from opzo.spec.network import MAX_HIDDEN, Limits
from opzo.spec.registers import READOUT_LAYER, Counter

_COUNTED = (
    *(Counter.INTEGRATE, Counter.FIRE, Counter.FEEDBACK, Counter.LEARN, Counter.EVENTS),
    *(Counter.MEMBRANE_SATURATIONS, Counter.CREDIT_SATURATIONS),
    *(Counter.WEIGHT_SATURATIONS, Counter.FEEDBACK_SATURATIONS),
    *(Counter(Counter.SPIKES_1 + layer) for layer in range(MAX_HIDDEN)),
    *(Counter(Counter.ACTIVE_1 + layer) for layer in range(MAX_HIDDEN)),
)


class EventReadSignature(Signature):
    """Read port of the events of the run: ``address`` and ``value`` of event ``index``, one cycle later.

    ``count`` is the number of its events, ``ends`` their number up to the end of each time step.
    """

    def __init__(self, limits: Limits) -> None:
        index = exact_log2(limits.events)
        super().__init__(
            {
                "index": Out(index),
                "address": In(EVENT["address"].shape),
                "value": In(EVENT["value"].shape),
                "count": In(index + 1),
                "ends": In(data.ArrayLayout(index + 1, HISTORY_STEPS)),
            }
        )


class RowPortSignature(Signature):
    """Rows of the memories, from and to the host; streams as in `CoreSignature`.

    ``enable``: rows may be moved, no run is in progress; ``busy``: one is being moved.
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "command": Out(stream.Signature(MEMORY_COMMAND)),
                "write": Out(stream.Signature(WORD)),
                "read": In(stream.Signature(WORD)),
                "enable": Out(1),
                "busy": In(1),
            }
        )


class Engine(wiring.Component):
    """Go through the passes of a run: rows to commands, commands to the lanes, spikes to lists and traces.

    Parameters
    ----------
    limits : Limits

    Members
    -------
    run : In(RunSignature), layers : In(LAYERS)
        Run in progress; settings of the layers.
    clear_traces : In(1)
        Strobe.
    events : Out(EventReadSignature)
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
    events: Any
    rows: Any
    sums: Any
    shift: Signal
    error: data.View
    error_progress: Any
    error_read: Any
    feedback_shifts: Any
    rows_busy: Signal
    done: Signal
    counted: data.View

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        super().__init__(
            {
                "run": In(RunSignature()),
                "layers": In(LAYERS),
                "clear_traces": In(1),
                "events": Out(EventReadSignature(limits)),
                "rows": In(RowPortSignature()),
                "sums": Out(LaneSumsSignature(limits)),
                "shift": In(1),
                "error": In(error_command(limits)),
                "error_progress": In(ErrorProgressSignature()),
                "error_read": Out(ErrorReadSignature()),
                "feedback_shifts": Out(FeedbackShiftSignature()),
                "rows_busy": Out(1),
                "done": Out(1),
                "counted": Out(counted(*_COUNTED)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        limits, run = self._limits, self.run
        m.submodules.sequencer = sequencer = Sequencer(limits)
        m.submodules.issue = issue = Issue(limits)
        m.submodules.lanes = lanes = Lanes(limits)
        m.submodules.active_rows = active_rows = ActiveRows(limits)
        m.submodules.scales = scales = FeedbackScales(limits)
        m.submodules.memory_port = port = MemoryPort(limits)
        # Tags accompany the commands and, after them, the words: tag s belongs to the command that was at stage 0 s
        # cycles before.
        stages = max(word_done_stage(limits), local_stage(limits)) + 1
        tags = [record(tag_layout(limits), f"tag_{s}") for s in range(stages)]
        m.d.sync += [after.eq(before) for after, before in zip(tags, [issue.tag, *tags], strict=False)]

        for unit in (active_rows, scales):
            wiring.connect(m, wiring.flipped(self.run), unit.run)
        wiring.connect(m, scales.feedback_shifts, wiring.flipped(self.feedback_shifts))
        for name in ("command", "write", "read"):
            wiring.connect(m, wiring.flipped(getattr(self.rows, name)), getattr(port, name))

        item, command, progress = sequencer.item, issue.command, active_rows.progress
        lists, traces = active_rows.lists, active_rows.traces
        m.d.comb += [
            sequencer.start.eq(run.start),
            sequencer.train.eq(run.train),
            sequencer.config.eq(run.config),
            sequencer.layers.eq(self.layers),
            sequencer.event_count.eq(self.events.count),
            [sequencer.event_ends[n].eq(self.events.ends[n]) for n in range(HISTORY_STEPS)],
            sequencer.step_counts.eq(progress.step_counts),
            sequencer.active_counts.eq(progress.active_counts),
            sequencer.input_count.eq(progress.input_count),
            sequencer.finished.eq(progress.finished),
            sequencer.lists_done.eq(progress.lists_done),
            sequencer.traces_ready.eq(progress.traces_ready),
            sequencer.error_busy.eq(self.error_progress.busy),
            sequencer.error_closing.eq(self.error_progress.closing),
            sequencer.error_source.eq(self.error_progress.source),
            self.done.eq(sequencer.done & scales.done),
            # An item asks for what it needs.
            self.events.index.eq(item.index + sequencer.event_begin),
            lists.step_list.layer.eq(sequencer.below),
            lists.step_list.parity.eq(item.step[0]),
            lists.below_base.eq(item.below_base),
            lists.index.eq(item.index),
            self.error_read.class_.eq(item.index),
            self.error_read.source.eq(Mux(item.local, item.layer, READOUT_LAYER)),
            self.error_read.step.eq(item.step),
            issue.item.eq(item),
            issue.event_address.eq(self.events.address),
            issue.event_value.eq(self.events.value),
            issue.step_row.eq(lists.step_row),
            issue.active_row.eq(lists.active_row),
            issue.input_row.eq(lists.input_row),
            issue.error.eq(self.error_read.error),
            issue.difference.eq(self.error_read.difference),
            issue.loss.eq(self.error_read.loss),
            issue.neuron_trace.eq(traces.neuron_entry),
            issue.input_trace.eq(traces.input_entry),
            issue.bias_trace.eq(run.bias_trace),
            issue.config.eq(run.config),
            issue.train.eq(run.sample.train),
            issue.fresh.eq(run.fresh),
            issue.phase.eq(run.phase),
            issue.measure.eq(scales.measure),
            active_rows.layers.eq(self.layers),
            active_rows.clear.eq(self.clear_traces),
            active_rows.mark.eq(issue.mark),
            self.rows_busy.eq(active_rows.busy),
            scales.tag.eq(tags[ROW]),
            scales.row.eq(lanes.lane_0_row),
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
        ]
        # The memory port uses lanes and traces while no pass does. Registered, as late as the port's command: the port
        # waits long enough for a trace, and after it nothing runs for some cycles.
        port_asks = Signal()
        m.d.sync += port_asks.eq(port.busy)
        m.d.comb += [
            port.enable.eq(self.rows.enable),
            self.rows.busy.eq(port.busy),
            port.chain.eq(lanes.shift_chain.output.value),
            port.neuron_trace.eq(traces.neuron_entry),
            port.input_trace.eq(traces.input_entry),
            traces.neuron.eq(Mux(port_asks, port.trace_index, issue.trace_index)),
            traces.input.eq(Mux(port_asks, port.trace_index, issue.input_index)),
            lanes.command.eq(Mux(port_asks, port.lane_command, command)),
            lanes.shift_chain.shift.eq(port.shift | self.shift),
            lanes.shift_chain.input.value.eq(port.chain_in),
        ]

        word, fired = tags[word_done_stage(limits)], active_rows.fired
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
        increments = {
            Counter.INTEGRATE: command.integrate,
            Counter.FIRE: command.kept & (command.after_word == AfterWord.FIRE),
            Counter.FEEDBACK: command.feedback | issue.tag.local,
            Counter.LEARN: command.learn,
            Counter.EVENTS: item.valid & (item.kind == Kind.INPUT) & item.first_word & ~item.bias,
            Counter.MEMBRANE_SATURATIONS: lanes.results.membrane_saturated,
            Counter.CREDIT_SATURATIONS: lanes.results.credit_saturated,
            Counter.WEIGHT_SATURATIONS: lanes.row_saturated & ~is_feedback,
            Counter.FEEDBACK_SATURATIONS: lanes.row_saturated & is_feedback,
        }
        m.d.comb += [self.counted[counter.name.lower()].eq(amount) for counter, amount in increments.items()]
        m.d.comb += [self.counted[name].eq(active_rows.counted[name]) for name, _ in active_rows.counted.shape()]
        return m
