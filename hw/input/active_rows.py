"""Active rows: which neurons and inputs spiked, in this run and before it."""

from typing import Any

from amaranth import Cat, Module, Signal
from amaranth.lib import data, fifo, stream, wiring
from amaranth.lib.wiring import In, Out, Signature
from amaranth.utils import exact_log2

from opzo.hw.counters import counted
from opzo.hw.decode import decode_input
from opzo.hw.input.scanner import finished_layout, fired_layout
from opzo.hw.input.spike_encoder import SpikeEncoder, list_layout
from opzo.hw.input.spike_lists import counts_layout
from opzo.hw.input.traces import ENTRY, Traces
from opzo.hw.lib.check import check
from opzo.hw.registers import layers_layout
from opzo.hw.run_control import RunSignature
from opzo.spec.formats import HISTORY_STEPS
from opzo.spec.network import Limits
from opzo.spec.registers import layer_counters


def event_mark(limits: Limits) -> data.StructLayout:
    """Strobe: ``bits`` are or-ed into the history of input ``row``."""
    return data.StructLayout({"valid": 1, "row": limits.input_bits, "bits": HISTORY_STEPS})


class RowListSignature(Signature):
    """Entry ``index`` of three lists, answered one cycle later.

    Members
    -------
    step_list : Out(list_layout), below_base : Out, index : Out
        Which step list; first word of the layer whose active neurons are asked for; entry.
    step_row, active_row, input_row : In
        Neuron that spiked in the time step, neuron that was active in this run or before, input that was.
    """

    def __init__(self, limits: Limits) -> None:
        super().__init__(
            {
                "step_list": Out(list_layout(limits)),
                "below_base": Out(limits.word_bits),
                "index": Out(limits.row_bits),
                "step_row": In(limits.neuron_bits),
                "active_row": In(limits.neuron_bits),
                "input_row": In(limits.input_bits),
            }
        )


class TraceSignature(Signature):
    """Entries of neuron ``neuron`` (with the base of its layer) and input ``input``, answered two cycles later."""

    def __init__(self, limits: Limits) -> None:
        super().__init__(
            {
                "neuron": Out(limits.neuron_bits),
                "input": Out(limits.input_bits),
                "neuron_entry": In(ENTRY),
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
    lists_done, traces_ready : Out(1)
        All lists are complete; the traces of hidden neurons are those before this run.
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
            }
        )


class ActiveRows(wiring.Component):
    """Spike lists of the hidden layers, traces of their neurons and of the inputs.

    Parameters
    ----------
    limits : Limits

    Members
    -------
    run : In(RunSignature), layers : In(layers_layout)
    clear : In(1)
        Strobe: all traces and histories become 0.
    fired : In(stream of fired_layout)
        Words of spikes in ascending order; ``ready`` stays high.
    mark : In(event_mark)
        An input event.
    lists : In(RowListSignature), traces : In(TraceSignature)
        Read ports.
    progress : Out(RowProgressSignature)
    busy : Out(1)
        Traces are being advanced, cleared or marked.
    counted : Out
        Increments of SPIKES_n and ACTIVE_n.
    """

    run: Any
    layers: data.View
    clear: Signal
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
                "fired": In(stream.Signature(fired_layout(limits))),
                "mark": In(event_mark(limits)),
                "lists": In(RowListSignature(limits)),
                "traces": In(TraceSignature(limits)),
                "progress": Out(RowProgressSignature(limits)),
                "busy": Out(1),
                "counted": Out(counted(*layer_counters(limits.layers))),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        limits = self._limits
        lane = limits.lane_bits
        # Room for a row of the memory port, even if there are fewer inputs than lanes.
        input_bits = max(exact_log2(limits.events), lane)
        m.submodules.encoder = encoder = SpikeEncoder(limits)
        m.submodules.traces = traces = Traces(limits.neuron_bits, limits.layers)
        m.submodules.inputs = inputs = Traces(input_bits, 1)
        # Events wait here until the traces of the inputs have been advanced; all events of a run have room. A FIFO of
        # less than three entries does not accept one in every cycle.
        m.submodules.marks = marks = fifo.SyncFIFOBuffered(
            width=len(inputs.mark.bits) + len(inputs.mark.row), depth=max(limits.events, 3)
        )
        wiring.connect(m, wiring.flipped(self.fired), encoder.fired)
        for unit in (traces, inputs):
            m.d.comb += [
                unit.clear.eq(self.clear),
                unit.begin.eq(self.run.start),
                unit.fresh.eq(self.run.fresh),
                unit.steps.eq(self.run.last_steps),
            ]
        lists, read, progress, spike = self.lists, self.traces, self.progress, encoder.spike
        m.d.comb += [
            encoder.clear.eq(self.run.start),
            [encoder.word_base[n].eq(self.layers[n].word_base) for n in range(limits.layers)],
            [traces.base[n].eq(self.layers[n].word_base << lane) for n in range(limits.layers)],
            traces.mark.valid.eq(spike.valid),
            traces.mark.layer.eq(spike.layer),
            traces.mark.row.eq(spike.row),
            traces.mark.bits.eq(1 << spike.step),
            marks.w_en.eq(self.mark.valid),
            marks.w_data.eq(Cat(self.mark.bits, self.mark.row)),
            marks.r_en.eq(~inputs.walking),
            inputs.mark.valid.eq(marks.r_rdy & marks.r_en),
            Cat(inputs.mark.bits, inputs.mark.row).eq(marks.r_data),
            encoder.step_list.eq(lists.step_list),
            encoder.step_index.eq(lists.index),
            traces.list_index.eq(lists.index + (lists.below_base << lane)),
            inputs.list_index.eq(lists.index),
            lists.step_row.eq(encoder.step_row),
            lists.active_row.eq(traces.row),
            lists.input_row.eq(inputs.row),
            traces.index.eq(read.neuron),
            inputs.index.eq(read.input),
            read.neuron_entry.eq(traces.entry),
            read.input_entry.eq(inputs.entry),
            progress.step_counts.eq(encoder.step_counts),
            [progress.active_counts[n].eq(traces.counts[n]) for n in range(limits.layers)],
            progress.input_count.eq(inputs.counts[0]),
            progress.finished.eq(encoder.finished),
            progress.traces_ready.eq(~traces.walking),
            self.busy.eq(traces.busy | inputs.busy),
        ]
        marks_left = Signal()
        m.d.sync += [
            inputs.graded.eq(decode_input(self.run.config.input).graded),
            marks_left.eq(marks.r_level != 0),
            progress.lists_done.eq(encoder.done & ~traces.busy & ~inputs.busy & ~marks_left),
        ]
        check(m, "fired", ~self.fired.valid | self.fired.ready, "a word of spikes finds the queue full")
        check(m, "marks", ~marks.w_en | marks.w_rdy, "an event finds the queue of marks full")
        check(m, "start", ~self.run.start | ~self.busy, "a run starts while traces are busy")
        first = traces.first
        for layer in range(limits.layers):
            m.d.comb += [
                self.counted[f"spikes_{layer + 1}"].eq(spike.valid & (spike.layer == layer)),
                self.counted[f"active_{layer + 1}"].eq(first.valid & (first.layer == layer) & self.run.sample.train),
            ]
        return m
