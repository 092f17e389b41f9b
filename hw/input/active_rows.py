"""Active rows: which neurons and inputs spiked, in this run and before it."""

from typing import Any

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import data, fifo, stream, wiring
from amaranth.lib.wiring import In, Out, Signature
from amaranth.utils import exact_log2

from opzo.hw.counters import counted
from opzo.hw.decode import decode_input
from opzo.hw.input.event_buffer import EventReadSignature
from opzo.hw.input.event_ends import EventEnds, step_events
from opzo.hw.input.list_counts import list_layout
from opzo.hw.input.neuron_rows import NeuronRows
from opzo.hw.input.position_ends import RunSpanSignature
from opzo.hw.input.scanner import entry_bits, finished_layout, fired_layout, group_lanes
from opzo.hw.input.spike_encoder import SpikeEncoder
from opzo.hw.input.spike_lists import counts_layout
from opzo.hw.input.traces import ENTRY, Traces
from opzo.hw.input.window_ends import WindowEnds
from opzo.hw.lib.check import check
from opzo.hw.lib.record import record
from opzo.hw.registers import layers_layout
from opzo.hw.run_control import RunSignature
from opzo.spec.formats import HISTORY_STEPS
from opzo.spec.geometry import CELL
from opzo.spec.limits import Limits
from opzo.spec.registers import layer_counters


def event_mark(limits: Limits) -> data.StructLayout:
    """Strobe: ``bits`` are or-ed into the history of input ``row``."""
    return data.StructLayout({"valid": 1, "row": limits.input_bits, "bits": HISTORY_STEPS})


class RowListSignature(Signature):
    """Entry ``index`` of three lists, answered one cycle later.

    In a build with convolutions a step list is read as `GroupLists` says.

    Members
    -------
    step_list : Out(list_layout), below_base : Out, index : Out
        Which step list; first word of the layer whose active neurons are asked for; index in the list.
    next, seek : Out(1)
        For the step list in a build with convolutions.
    step_row, step_lane, active_neuron, input_row : In
        Row of the neuron that spiked in the time step (`entry_bits`), with convolutions that of the first lane of its
        group, and the lane, one-hot; number of the neuron that was active in this run or before, row of the input that
        was.
    """

    def __init__(self, limits: Limits) -> None:
        super().__init__(
            {
                "step_list": Out(list_layout(limits)),
                "below_base": Out(limits.word_bits),
                "index": Out(limits.neuron_bits if limits.gradients else limits.row_bits),
                "next": Out(1),
                "seek": Out(1),
                "step_row": In(entry_bits(limits)),
                "step_lane": In(group_lanes(limits)),
                "active_neuron": In(limits.neuron_bits),
                "input_row": In(limits.input_bits),
            }
        )


class TraceSignature(Signature):
    """Entries of neuron ``neuron`` (with the base of its layer) and input ``input``, answered two cycles later.

    ``word_row``, one cycle later: row of the first lane of the neuron's word, in a build with convolutions. Without
    them the rows of neurons are their numbers.
    """

    def __init__(self, limits: Limits) -> None:
        super().__init__(
            {
                "neuron": Out(limits.neuron_bits),
                "input": Out(limits.input_bits),
                "neuron_entry": In(ENTRY),
                "word_row": In(entry_bits(limits)),
                "input_entry": In(ENTRY),
            }
        )


class RowProgressSignature(Signature):
    """How far lists and traces are.

    Members
    -------
    step_counts, active_counts, input_count : Out
        Entries of the lists of spikes, of active neurons by layer, of active inputs.
    finished : Out(finished_layout)
        Strobe: the step list of this layer and step is complete.
    lists_done, traces_ready, inputs_ready : Out(1)
        All lists are complete; the traces of hidden neurons, of inputs, are those before this run.
    part_ends : Out(array)
        Entries of the first parts of the list that a dense layer behind a pool learns from.
    events_done : Out(1)
        The ends of the positions in the events that were asked for last are complete.
    """

    def __init__(self, limits: Limits) -> None:
        super().__init__(
            {
                "step_counts": Out(counts_layout(limits)),
                "active_counts": Out(data.ArrayLayout(limits.row_bits, limits.layers)),
                "input_count": Out(limits.row_bits),
                "finished": Out(finished_layout(limits)),
                "lists_done": Out(1),
                "traces_ready": Out(1),
                "inputs_ready": Out(1),
                "part_ends": Out(data.ArrayLayout(limits.row_bits, CELL - 1)),
                "events_done": Out(1),
            }
        )


class ActiveRows(wiring.Component):
    """Spike lists of the hidden layers, traces of their neurons and of the inputs.

    A device that only infers has no traces and no lists of active rows: ``traces`` reads 0, ``mark`` is ignored.

    Parameters
    ----------
    limits : Limits

    Members
    -------
    run : In(RunSignature), layers : In(layers_layout)
    clear : In(1)
        Strobe: all traces and histories become 0.
    all_fired : In(1)
        The run has no words of spikes and no events left; in a run with learning the lists of maps are then sorted.
    step_events : In(step_events), events : Out(EventReadSignature)
        Events of a step, whose positions are to be found; the events are read while not ``progress.events_done``.
    fired : In(stream of fired_layout)
        Words of spikes in ascending order; ``ready`` stays high.
    mark : In(event_mark)
        An input event.
    lists : In(RowListSignature), traces : In(TraceSignature), ends : In(RunSpanSignature)
        Read ports.
    progress : Out(RowProgressSignature)
    busy : Out(1)
        Traces are being advanced, cleared or marked.
    counted : Out
        Increments of SPIKES_n and ACTIVE_n.
    event : Out(1)
        Strobe: an event of ``step_events`` was passed.
    """

    run: Any
    layers: data.View
    clear: Signal
    all_fired: Signal
    step_events: data.View
    events: Any
    ends: Any
    event: Signal
    fired: stream.Interface
    mark: data.View
    lists: Any
    traces: Any
    progress: Any
    busy: Signal
    counted: data.View

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        super().__init__(
            {
                "run": In(RunSignature()),
                "layers": In(layers_layout(limits)),
                "clear": In(1),
                "all_fired": In(1),
                "step_events": In(step_events(limits)),
                "events": Out(EventReadSignature(limits)),
                "ends": In(RunSpanSignature(limits)),
                "event": Out(1),
                "fired": In(stream.Signature(fired_layout(limits))),
                "mark": In(event_mark(limits)),
                "lists": In(RowListSignature(limits)),
                "traces": In(TraceSignature(limits)),
                "progress": Out(RowProgressSignature(limits)),
                "busy": Out(1),
                "counted": Out(counted(*layer_counters(limits))),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        limits = self._limits
        m.submodules.encoder = encoder = SpikeEncoder(limits)
        wiring.connect(m, wiring.flipped(self.fired), encoder.fired)
        lists, progress, spike = self.lists, self.progress, encoder.spike
        m.d.comb += [
            encoder.clear.eq(self.run.start),
            [encoder.word_base[n].eq(self.layers[n].word_base) for n in range(limits.layers)],
            encoder.step_list.eq(lists.step_list),
            encoder.step_index.eq(lists.index),
            encoder.step_next.eq(lists.next),
            encoder.step_seek.eq(lists.seek),
            lists.step_lane.eq(encoder.step_lane),
            lists.step_row.eq(encoder.step_row),
            progress.step_counts.eq(encoder.step_counts),
            progress.finished.eq(encoder.finished),
        ]
        check(m, "fired", ~self.fired.valid | self.fired.ready, "a word of spikes finds the queue full")
        for layer in range(limits.layers):
            m.d.comb += self.counted[f"spikes_{layer + 1}"].eq(spike.valid & (spike.layer == layer))
        traces = inputs = None
        mark = record(event_mark(limits), "event_mark")
        if limits.learning:
            traces, inputs = self._trace(m, encoder, mark)
        else:
            m.d.comb += [progress.traces_ready.eq(1), progress.inputs_ready.eq(1)]
            m.d.sync += progress.lists_done.eq(encoder.done)
        if limits.gradients:
            self._describe_maps(m, encoder)
            self._pass_events(m, mark, encoder, traces, inputs)
        return m

    def _trace(self, m: Module, encoder: SpikeEncoder, mark: data.View) -> tuple[Traces, Traces]:
        """Traces of the hidden neurons, and of the inputs."""
        limits, lists, progress, spike = self._limits, self.lists, self.progress, encoder.spike
        lane = limits.lane_bits
        # Room for a row of the memory port, even if there are fewer inputs than lanes.
        input_bits = max(exact_log2(limits.events), lane)
        scans = limits.gradients > 0
        neurons, rows = (words << lane if scans else 0 for words in (limits.words, limits.input_words))
        m.submodules.traces = traces = Traces(limits.neuron_bits, limits.layers, rows=neurons, scans=scans)
        m.submodules.inputs = inputs = Traces(input_bits, 1, rows=rows, scans=scans)
        # Events wait here until the traces of the inputs have been advanced; all events of a run have room. With
        # convolutions, where inputs are many, no pass reads events before. A FIFO of less than three entries does not
        # accept one in every cycle.
        m.submodules.marks = marks = fifo.SyncFIFOBuffered(
            width=len(inputs.mark.bits) + len(inputs.mark.row), depth=3 if scans else max(limits.events, 3)
        )
        for unit in (traces, inputs):
            m.d.comb += [
                unit.clear.eq(self.clear),
                unit.begin.eq(self.run.start),
                unit.fresh.eq(self.run.fresh),
                unit.steps.eq(self.run.last_steps),
            ]
        read = self.traces
        m.d.comb += [
            [traces.base[n].eq(self.layers[n].word_base << lane) for n in range(limits.layers)],
            traces.mark.valid.eq(spike.valid),
            traces.mark.layer.eq(spike.layer),
            traces.mark.row.eq(spike.row),
            traces.mark.bits.eq(1 << spike.step),
            marks.w_en.eq(mark.valid),
            marks.w_data.eq(Cat(mark.bits, mark.row)),
            marks.r_en.eq(~inputs.walking),
            inputs.mark.valid.eq(marks.r_rdy & marks.r_en),
            Cat(inputs.mark.bits, inputs.mark.row).eq(marks.r_data),
            traces.list_index.eq(lists.index + (lists.below_base << lane)),
            inputs.list_index.eq(lists.index),
            lists.active_neuron.eq(traces.row),
            lists.input_row.eq(inputs.row),
            traces.index.eq(read.neuron),
            inputs.index.eq(read.input),
            read.neuron_entry.eq(traces.entry),
            read.input_entry.eq(inputs.entry),
            [progress.active_counts[n].eq(traces.counts[n]) for n in range(limits.layers)],
            progress.input_count.eq(inputs.counts[0]),
            progress.traces_ready.eq(~traces.walking),
            progress.inputs_ready.eq(~inputs.walking),
            self.busy.eq(traces.busy | inputs.busy),
        ]
        marks_left = Signal()
        lists_done = Signal()
        sorted_ = Signal(init=1)
        m.d.comb += lists_done.eq(encoder.done & ~traces.busy & ~inputs.busy & ~marks_left)
        m.d.sync += [
            inputs.graded.eq(decode_input(self.run.config.input).graded),
            marks_left.eq(marks.r_level != 0),
            progress.lists_done.eq(lists_done & sorted_),
        ]
        if scans:
            m.submodules.neuron_rows = neuron_rows = NeuronRows(limits)
            m.d.comb += [
                neuron_rows.word_base.eq(encoder.word_base),
                neuron_rows.placed.eq(encoder.placed),
                neuron_rows.neuron.eq(read.neuron),
                read.word_row.eq(neuron_rows.row),
            ]
            self._sort(m, traces, inputs, lists_done, sorted_)
        else:
            m.d.comb += mark.eq(self.mark)
        check(m, "marks", ~marks.w_en | marks.w_rdy, "an event finds the queue of marks full")
        check(m, "start", ~self.run.start | ~self.busy, "a run starts while traces are busy")
        first = traces.first
        for layer in range(limits.layers):
            m.d.comb += self.counted[f"active_{layer + 1}"].eq(
                first.valid & (first.layer == layer) & self.run.sample.train
            )
        return traces, inputs

    def _describe_maps(self, m: Module, encoder: SpikeEncoder) -> None:
        """Maps of the layers, for the lists of spikes."""
        for map, layer in zip(encoder.maps, self.layers, strict=False):
            m.d.comb += [map[name].eq(layer[name]) for name, _ in map.shape()]

    def _sort(self, m: Module, traces: Traces, inputs: Traces, lists_done: Signal, sorted_: Signal) -> None:
        """Scan the maps once all lists are complete, ahead of Learn. Without a scan lists are as they grew."""
        limits, run, layers = self._limits, self.run, self.layers
        depth, readout = run.config.hidden_layers, layers[limits.layers]
        has_maps = layers[0].kernel != 0
        scan = Signal()
        waits = Signal()
        for number in range(limits.layers):
            layer, map = layers[number], traces.maps[number]
            last = depth == number + 1
            above = readout.kernel
            if number != limits.layers - 1:
                above = Mux(last, readout.kernel, layers[number + 1].kernel)
            m.d.comb += [
                map.is_map.eq((layer.kernel != 0) & (number < depth)),
                map.channels.eq(layer.channels),
                map.stride.eq(layer.words << limits.lane_bits),
                map.positions.eq(layer.positions),
                map.cells.eq(layer.cells),
                map.by_parts.eq(layer.cells & (above == 0)),
            ]
        m.d.comb += [
            inputs.maps[0].is_map.eq(decode_input(run.config.input).events),
            inputs.maps[0].channels.eq(layers[0].seen),
            inputs.maps[0].stride.eq(layers[0].seen),
            inputs.maps[0].positions.eq(layers[0].positions),
            [self.progress.part_ends[part].eq(traces.part_ends[part]) for part in range(CELL - 1)],
            scan.eq(self.all_fired & lists_done & waits & ~self.fired.valid),
            traces.scan.eq(scan),
            inputs.scan.eq(scan),
        ]
        # The units are busy from the next cycle on, for more than the one cycle that lists_done may lag.
        with m.If(self.run.start):
            m.d.sync += [waits.eq(run.train & has_maps), sorted_.eq(~(run.train & has_maps))]
        with m.Elif(scan):
            m.d.sync += waits.eq(0)
        with m.Elif(~waits & lists_done):
            m.d.sync += sorted_.eq(1)

    def _pass_events(
        self, m: Module, mark: data.View, encoder: SpikeEncoder, traces: Traces | None, inputs: Traces | None
    ) -> None:
        """Ends of positions in the events and in the lists; the events of a map are marked as they are passed."""
        limits, layers = self._limits, self.layers
        m.submodules.event_ends = event_ends = EventEnds(limits)
        m.submodules.ends = ends = WindowEnds(limits)
        wiring.connect(m, wiring.flipped(self.ends), ends.span)
        wiring.connect(m, event_ends.events, wiring.flipped(self.events))
        kind = decode_input(self.run.config.input)
        step = Signal.like(self.step_events.step)
        with m.If(self.step_events.valid):
            m.d.sync += step.eq(self.step_events.step)
        m.d.comb += [
            event_ends.start.eq(self.step_events),
            event_ends.channels.eq(layers[0].seen),
            event_ends.positions.eq(layers[0].positions),
            self.event.eq(event_ends.counted),
            self.progress.events_done.eq(~event_ends.busy),
            ends.fired.valid.eq(self.fired.valid & self.fired.ready),
            ends.fired.word.eq(self.fired.p),
            [ends.place_base[n].eq(layers[n].place_base) for n in range(limits.layers)],
            ends.maps.eq(encoder.maps),
            ends.input_ends.eq(event_ends.write),
        ]
        if traces is None or inputs is None:
            return
        m.d.comb += [
            ends.active_layer.eq(traces.ends_layer),
            *(getattr(ends.active_ends, name).eq(traces.ends[name]) for name in ("en", "place", "count")),
        ]
        with m.If(~event_ends.busy):
            m.d.comb += [getattr(ends.input_ends, name).eq(inputs.ends[name]) for name in ("en", "place", "count")]
        with m.If(self.mark.valid):
            m.d.comb += mark.eq(self.mark)
        with m.Else():
            m.d.comb += [
                mark.valid.eq(event_ends.counted & kind.events),
                mark.row.eq(event_ends.address),
                mark.bits.eq(Mux(kind.graded, event_ends.value, 1 << step)),
            ]
