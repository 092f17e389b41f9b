"""The core: everything between the input of a run in the event buffer and its answer."""

from amaranth import Cat, Const, Module, Mux, Signal
from amaranth.lib import fifo, wiring
from amaranth.lib.wiring import Out
from amaranth.utils import exact_log2

from opzo.hw.counters import Counters
from opzo.hw.error.error import CLOSING_CYCLES, ErrorUnit
from opzo.hw.error.feedback_scale import FeedbackScales
from opzo.hw.error.local_readout import LocalReadOut
from opzo.hw.error.readout_shifter import ReadOutShifter
from opzo.hw.input.event_buffer import EventBuffer
from opzo.hw.input.scanner import lane_bits, word_bits
from opzo.hw.input.spike_encoder import SpikeEncoder
from opzo.hw.input.traces import STEPS_BITS, Traces
from opzo.hw.interface import REGISTER_CYCLES, RUN, CoreSignature
from opzo.hw.lanes.lane_command import ACCUMULATED, RESULT, ROW, Post, local_stage
from opzo.hw.lanes.lanes import Lanes, posted_stage
from opzo.hw.lib.record import record
from opzo.hw.lib.saturate import Saturate
from opzo.hw.memory_port import MemoryPort
from opzo.hw.registers import CONFIG, RegisterFile
from opzo.hw.results import Results
from opzo.hw.schedule.issue import LATENCY, Issue
from opzo.hw.schedule.passes import Kind, tag_layout
from opzo.hw.schedule.sequencer import Sequencer
from opzo.spec.formats import HISTORY_STEPS, MEMBRANE
from opzo.spec.network import MAX_HIDDEN, Limits
from opzo.spec.registers import COUNTER, READOUT_LAYER, Counter
from opzo.spec.rules import Input

READ_OUT_CYCLES = 4
"""From the closing of the error unit to the first item of the next read-out, and from the command to its stage 0."""


class Core(wiring.Component):
    """Engine of a device with ``limits``: lanes, sequencer, error unit, memories, registers, counters.

    Golden twin: ``opzo.sim.golden.core.GoldenCore``. ``docs/machine.md`` tells what happens when.

    Members
    -------
    link : Out(CoreSignature)
    """

    link: Out(CoreSignature())

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        super().__init__()

    def elaborate(self, platform: object) -> Module:
        # A read-out that starts when the error unit is closing must not get there before it has closed.
        if CLOSING_CYCLES > READ_OUT_CYCLES + LATENCY + ACCUMULATED:
            raise AssertionError("the next read-out would reach the error unit too early")
        m = Module()
        limits = self.limits
        m.submodules.registers = self._registers = RegisterFile()
        m.submodules.counters = self._counters = Counters()
        m.submodules.events = self._events = EventBuffer(limits)
        m.submodules.sequencer = self._sequencer = Sequencer(limits)
        m.submodules.issue = self._issue = Issue(limits)
        m.submodules.lanes = self._lanes = Lanes(limits)
        m.submodules.encoder = self._encoder = SpikeEncoder(limits)
        m.submodules.traces = self._traces = Traces(word_bits(limits) + lane_bits(limits), MAX_HIDDEN)
        # Room for a row of the host's, even where there are fewer inputs than lanes.
        input_bits = max(exact_log2(limits.events), lane_bits(limits))
        m.submodules.inputs = self._inputs = inputs = Traces(input_bits, 1)
        # Events wait here until the traces of the inputs are those before this run; all of a run have room. A FIFO of
        # less than three entries does not take one in every cycle.
        m.submodules.marks = self._marks = fifo.SyncFIFOBuffered(
            width=len(inputs.mark.bits) + len(inputs.mark.row), depth=max(limits.events, 3)
        )
        m.submodules.error = self._error = ErrorUnit(limits)
        m.submodules.local = self._local = LocalReadOut(limits)
        m.submodules.shifter = self._shifter = ReadOutShifter(limits)
        m.submodules.scales = self._scales = FeedbackScales(limits)
        m.submodules.memory_port = self._memory_port = MemoryPort(limits)
        m.submodules.results = self._results = Results(limits)
        # The registers' settings, with the time steps of the run.
        self._config = record(CONFIG, "config")
        # Tags accompany the commands and, after them, the words: tag s belongs to the command that was at stage 0 s
        # cycles before.
        stages = max(posted_stage(limits), local_stage(limits)) + 1
        self._tags = [record(tag_layout(limits), f"tag_{s}") for s in range(stages)]
        m.d.sync += self._tags[0].eq(self._issue.tag)
        m.d.sync += [after.eq(before) for after, before in zip(self._tags[1:], self._tags[:-1], strict=True)]

        self._run(m)
        self._keep_time(m)
        self._wire_host(m)
        self._wire_issue(m)
        self._wire_spikes(m)
        self._wire_read_out(m)
        self._count(m)
        return m

    def _run(self, m: Module) -> None:
        """One run after another: start, wait, close, answer."""
        events, sequencer, results = self._events, self._sequencer, self._results
        self._sample = sample = record(RUN, "sample")
        self._start = start = Signal()
        self._working = working = Signal()
        self._clearing = Signal()
        self._close = close = Signal()
        m.d.comb += [
            sequencer.start.eq(start),
            sequencer.train.eq(Mux(start, events.sample.train, sample.train)),
            sequencer.config.eq(self._config),
            sequencer.layers.eq(self._registers.layers),
            sequencer.event_count.eq(events.count),
            [sequencer.event_ends[n].eq(events.ends[n]) for n in range(HISTORY_STEPS)],
            self._encoder.clear.eq(start),
            events.release.eq(close),
            results.start.eq(close),
            results.sample.eq(sample),
            results.classes.eq(self._config.classes),
            results.prediction.eq(self._error.prediction),
            results.loss.eq(self._error.loss_sum),
            results.sum.eq(self._error.sum_data),
            self._error.sum_class.eq(results.sum_class),
        ]
        scales, registers = self._scales, self._registers
        m.d.comb += [
            scales.config.eq(registers.config),
            scales.start.eq(start),
            scales.train.eq(events.sample.train),
            scales.tag.eq(self._tags[ROW]),
            scales.row.eq(self._lanes.lane_0_row),
            registers.shifts.eq(scales.shifts),
            registers.shifts_mask.eq(scales.mask),
            registers.shifts_en.eq(close & scales.measure),
        ]
        m.d.sync += registers.sample_done.eq(close & sample.train)
        with m.FSM():
            with m.State("IDLE"):
                # Much begins with start: a flip-flop. The memory port takes nothing any more when a sample is there.
                free = ~self._memory_port.busy & ~results.busy & ~self._clearing
                m.d.sync += start.eq(events.sample_valid & free & ~start)
                with m.If(start):
                    m.d.sync += sample.eq(events.sample)
                    m.next = "WORK"
            with m.State("WORK"):
                m.d.comb += working.eq(1)
                with m.If(sequencer.done & self._scales.done):
                    m.next = "CLOSE"
            with m.State("CLOSE"):
                m.d.comb += close.eq(1)
                m.next = "IDLE"

    def _keep_time(self, m: Module) -> None:
        """What goes on from run to run: traces, phase of the antithetic pairs, decision."""
        events, registers = self._events, self._registers
        traces, inputs = self._traces, self._inputs
        frame = registers.config.input == Input.FRAME
        steps, last_steps = Signal(STEPS_BITS), Signal(STEPS_BITS)
        self._fresh, self._decision = fresh, decision = Signal(), Signal()
        self._phase = phase = Signal()
        self._bias_trace = bias_trace = Signal(HISTORY_STEPS)
        m.d.comb += [
            self._config.eq(registers.config),
            self._config.steps.eq(steps),
        ]
        m.d.sync += inputs.graded.eq(registers.config.input == Input.GRADED)
        # Also in the cycle after ``clear_traces``, in which the units are not busy yet.
        busy = (traces.busy | inputs.busy) & ~self._working & ~self._close
        m.d.sync += self._clearing.eq(registers.clear_traces | busy)
        for unit in (traces, inputs):
            m.d.comb += [
                unit.clear.eq(registers.clear_traces),
                unit.begin.eq(self._start),
                unit.fresh.eq(fresh),
                unit.steps.eq(last_steps),
            ]
        lane = lane_bits(self.limits)
        m.d.comb += [traces.base[n].eq(registers.layers[n].word_base << lane) for n in range(MAX_HIDDEN)]
        # After a reset, or with a new network, there is nothing to go on with.
        begun = Signal()
        begins_anew = events.sample.fresh | frame | ~begun
        with m.If(registers.clear_traces):
            m.d.sync += begun.eq(0)
        with m.If(self._start):
            m.d.sync += [
                steps.eq(Mux(frame, registers.config.steps, events.steps)),
                begun.eq(1),
                fresh.eq(begins_anew),
                decision.eq(begins_anew | events.sample.decision),
                # The bias spiked in all steps of the last run.
                bias_trace.eq(Mux(begins_anew, 0, Cat(bias_trace, Const(-1, HISTORY_STEPS)) >> last_steps)),
            ]
            with m.If(begins_anew):
                m.d.sync += phase.eq(0)
        # The traces still need the length of the last run while this one is on its way.
        with m.If(self._close):
            m.d.sync += [last_steps.eq(steps), phase.eq(phase ^ steps[0])]

    def _wire_host(self, m: Module) -> None:
        """Registers, memories, events and results to and from the link."""
        link, registers, counters, port = self.link, self._registers, self._counters, self._memory_port
        engine_idle = Signal()
        addresses = [Signal(8, name=f"address_{n}", reset_less=True) for n in range(REGISTER_CYCLES)]
        m.d.sync += [
            after.eq(before) for after, before in zip(addresses, [link.register_addr, *addresses], strict=False)
        ]
        counter = Signal(32, reset_less=True)
        m.d.sync += counter.eq(counters.data)
        # What is written to a register takes effect some cycles later.
        writing = Signal(2)
        m.d.sync += writing.eq(writing << 1 | link.register_w_en)
        m.d.comb += [
            registers.address.eq(link.register_addr),
            registers.write_data.eq(link.register_w_data),
            registers.write_en.eq(link.register_w_en),
            counters.clear.eq(registers.clear_counters),
            counters.half.eq(addresses[0][0]),
            counters.index.eq(addresses[0][1:]),
            link.register_r_data.eq(Mux(addresses[-1][6:] == COUNTER >> 6, counter, registers.read_data)),
            engine_idle.eq(
                ~self._events.queued
                & ~self._start
                & ~self._working
                & ~self._close
                & ~self._results.busy
                & ~self._clearing
                & ~registers.clear_traces
                & ~writing.any()
            ),
            self._events.discard.eq(link.discard),
        ]
        m.d.sync += port.enable.eq(engine_idle)
        m.d.sync += link.idle.eq(engine_idle & ~port.busy & ~counters.busy & ~link.register_w_en)
        wiring.connect(m, wiring.flipped(link.memory_command), port.command)
        wiring.connect(m, wiring.flipped(link.memory_w), port.write)
        wiring.connect(m, port.read, wiring.flipped(link.memory_r))
        wiring.connect(m, wiring.flipped(link.event), self._events.event)
        wiring.connect(m, wiring.flipped(link.run), self._events.run)
        wiring.connect(m, self._results.o, wiring.flipped(link.result))

    def _wire_issue(self, m: Module) -> None:
        """From the sequencer's items to the lanes' commands."""
        issue, item, encoder, error = self._issue, self._sequencer.item, self._encoder, self._error
        lanes, port, traces, inputs = self._lanes, self._memory_port, self._traces, self._inputs
        marks, config = self._marks, self._config
        # As late as the port's command. It waits for an entry for long enough; after it nothing runs for some cycles.
        port_asks = Signal()
        m.d.sync += port_asks.eq(port.busy)
        m.d.comb += [
            issue.item.eq(item),
            issue.event_address.eq(self._events.address),
            issue.event_value.eq(self._events.value),
            issue.step_row.eq(encoder.step_row),
            issue.active_row.eq(traces.row),
            issue.input_row.eq(inputs.row),
            issue.error.eq(error.read_error),
            issue.difference.eq(error.read_difference),
            issue.loss.eq(error.loss_scaled),
            issue.neuron_trace.eq(traces.entry),
            issue.input_trace.eq(inputs.entry),
            issue.bias_trace.eq(self._bias_trace),
            issue.config.eq(config),
            issue.train.eq(self._sample.train),
            issue.fresh.eq(self._fresh),
            issue.phase.eq(self._phase),
            issue.measure.eq(self._scales.measure),
            self._events.index.eq(item.index + self._sequencer.event_begin),
            encoder.step_list.layer.eq(self._sequencer.below),
            encoder.step_list.parity.eq(item.step[0]),
            encoder.step_index.eq(item.index),
            traces.list_index.eq(item.index + (item.below_base << lane_bits(self.limits))),
            traces.index.eq(Mux(port_asks, port.trace_index, issue.trace_index)),
            inputs.list_index.eq(item.index),
            inputs.index.eq(Mux(port_asks, port.trace_index, issue.input_index)),
            marks.w_en.eq(issue.mark.valid),
            marks.w_data.eq(Cat(issue.mark.bits, issue.mark.row)),
            marks.r_en.eq(~inputs.walking),
            inputs.mark.valid.eq(marks.r_rdy & marks.r_en),
            Cat(inputs.mark.bits, inputs.mark.row).eq(marks.r_data),
            error.read_class.eq(item.index),
            error.read_source.eq(Mux(item.local, item.layer, READOUT_LAYER)),
            error.read_step.eq(item.step),
            lanes.command.eq(Mux(port_asks, port.lane_command, issue.command)),
            lanes.load.eq(issue.load),
            lanes.filter.eq(self._sequencer.filter),
            lanes.alpha.eq(config.alpha),
            lanes.activity.eq(config.activity),
            lanes.shift.eq(port.shift | self._shifter.shift),
            lanes.chain_in.value.eq(port.chain_in),
            port.chain.eq(lanes.chain.value),
            port.neuron_trace.eq(traces.entry),
            port.input_trace.eq(inputs.entry),
        ]

    def _wire_spikes(self, m: Module) -> None:
        """Fired words to the encoder, and its state to the sequencer."""
        encoder, sequencer, lanes = self._encoder, self._sequencer, self._lanes
        traces, inputs, spike = self._traces, self._inputs, self._encoder.spike
        tag = self._tags[posted_stage(self.limits)]
        fired = encoder.fired
        lists_done, marks_left = Signal(), Signal()
        m.d.comb += [
            sequencer.step_counts.eq(encoder.step_counts),
            [sequencer.active_counts[n].eq(traces.counts[n]) for n in range(MAX_HIDDEN)],
            sequencer.input_count.eq(inputs.counts[0]),
            sequencer.finished.eq(encoder.finished),
            sequencer.lists_done.eq(lists_done),
            sequencer.traces_ready.eq(~traces.walking),
            traces.mark.valid.eq(spike.valid),
            traces.mark.layer.eq(spike.layer),
            traces.mark.row.eq(spike.row),
            traces.mark.bits.eq(1 << spike.step),
        ]
        m.d.sync += [
            fired.valid.eq(lanes.posted & (tag.post == Post.FIRE)),
            fired.p.layer.eq(tag.layer),
            fired.p.parity.eq(tag.step[0]),
            fired.p.step.eq(tag.step),
            fired.p.word.eq(tag.word),
            fired.p.spikes.eq(lanes.spikes),
            fired.p.last.eq(tag.last_word),
            marks_left.eq(self._marks.r_level != 0),
            lists_done.eq(encoder.done & ~traces.busy & ~inputs.busy & ~marks_left),
        ]
        m.d.comb += [encoder.word_base[n].eq(self._registers.layers[n].word_base) for n in range(MAX_HIDDEN)]

    def _wire_read_out(self, m: Module) -> None:
        """Read-outs from the chain or of a layer's own to the error unit, and its errors to the lanes."""
        shifter, error, lanes = self._shifter, self._error, self._lanes
        config = self._config
        # The chain is loaded at the end of stage ACCUMULATED.
        tag = self._tags[ACCUMULATED]
        m.submodules.read_out = read_out = Saturate(len(lanes.chain.value), MEMBRANE.width)
        step = Signal.like(tag.step)
        local, local_tag = self._local, self._tags[local_stage(self.limits)]
        local_start = local_tag.local & local_tag.first & local_tag.first_word
        m.d.comb += [
            shifter.soon.eq(self._tags[ACCUMULATED - 1].post == Post.READ_OUT),
            shifter.lanes.eq(Mux(tag.last_word, self._registers.layers[MAX_HIDDEN].tail, self.limits.lanes)),
            error.start.eq((shifter.load & tag.first_word) | local_start),
            error.source.eq(Mux(local_start, local_tag.layer, READOUT_LAYER)),
            error.step.eq(Mux(local_start, local_tag.step, tag.step)),
            error.last_step.eq(tag.step + 1 == config.steps),
            error.odd.eq(tag.step[0] ^ self._phase),
            error.anew.eq(self._decision & (tag.step == 0)),
            error.label.eq(self._sample.label),
            local.valid.eq(local_tag.local),
            local.first.eq(local_tag.first),
            local.last.eq(local_tag.last),
            local.sum.eq(lanes.local_sum),
            error.o_valid.eq(shifter.valid | local.o_valid),
            read_out.i.eq(lanes.chain.value),
            error.o_data.eq(Mux(local.o_valid, local.o, read_out.o)),
            lanes.error.valid.eq(error.error.valid),
            lanes.error.class_.eq(error.error["class"]),
            lanes.error.value.eq(error.error.value),
            lanes.error.step.eq(step),
            error.learn.eq(self._sample.train),
            self._sequencer.error_busy.eq(error.busy),
            self._sequencer.error_closing.eq(error.closing),
            self._sequencer.error_source.eq(error.busy_source),
        ]
        # Constant during a run, and far away: not within the cycle.
        m.d.sync += [
            error.classes.eq(config.classes),
            error.rate.eq(config.rate),
            error.mse_shift.eq(config.mse_shift),
        ]
        with m.If(error.start):
            m.d.sync += step.eq(tag.step)

    def _count(self, m: Module) -> None:
        """Statistics."""
        command, item, lanes = self._issue.command, self._sequencer.item, self._lanes
        train = self._sample.train
        # Through registers of the groups, and of all.
        tag = self._tags[RESULT + 2]
        spike, first = self._encoder.spike, self._traces.first
        amounts = {
            Counter.TRAIN_RUNS: self._close & train,
            Counter.TEST_RUNS: self._close & ~train,
            Counter.TRAIN_CYCLES: (self._working | self._close) & train,
            Counter.TEST_CYCLES: (self._working | self._close) & ~train,
            Counter.INTEGRATE: command.integrate,
            Counter.FIRE: command.kept & (command.post == Post.FIRE),
            Counter.FEEDBACK: command.feedback | self._issue.tag.local,
            Counter.LEARN: command.learn,
            Counter.EVENTS: item.valid & (item.kind == Kind.INPUT) & item.first_word & ~item.bias,
            Counter.MEMBRANE_SATURATIONS: lanes.membrane_saturated,
            Counter.CREDIT_SATURATIONS: lanes.credit_saturated,
            Counter.WEIGHT_SATURATIONS: lanes.row_saturated & ~tag.feedback,
            Counter.FEEDBACK_SATURATIONS: lanes.row_saturated & tag.feedback,
            Counter.STEPS: self._error.start & (self._error.source == READOUT_LAYER),
            Counter.DROPPED: self._events.dropped,
        }
        for layer in range(MAX_HIDDEN):
            amounts[Counter(Counter.SPIKES_1 + layer)] = spike.valid & (spike.layer == layer)
            amounts[Counter(Counter.ACTIVE_1 + layer)] = first.valid & (first.layer == layer) & train
        m.d.sync += [self._counters.increment[counter].eq(amount) for counter, amount in amounts.items()]
