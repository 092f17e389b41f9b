"""Sequencer: goes through the passes of a run, each as soon as what it needs is there."""

from amaranth import Array, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from opzo.hw.decode import decode_input, decode_rule
from opzo.hw.input.scanner import FINISHED
from opzo.hw.input.spike_lists import counts_layout
from opzo.hw.lanes.lane_command import STAGES, filter_command
from opzo.hw.lib.record import record
from opzo.hw.neurons.neurons import LATENCY
from opzo.hw.registers import CONFIG, LAYERS
from opzo.hw.schedule.filler import FilterFiller
from opzo.hw.schedule.issue import LATENCY as ISSUE_LATENCY
from opzo.hw.schedule.passes import PASS, Kind, is_learn, item_layout
from opzo.hw.schedule.runner import PassRunner
from opzo.hw.schedule.schedule import Schedule
from opzo.spec.formats import HISTORY_STEPS
from opzo.spec.network import MAX_HIDDEN, Limits
from opzo.spec.registers import READOUT_LAYER

QUIET = ISSUE_LATENCY + STAGES
"""Cycles after an item until its row is written."""
"""Cycles after an item in which it has left the lanes and the row memory."""


class Sequencer(wiring.Component):
    """Schedule, pass runner and filter filler, and the conditions under which a pass may start.

    Members
    -------
    config, layers : In
        Settings; constant during a run, ``steps`` those of the run.
    start, train : In(1)
        Strobe, and whether the run is learned from.
    event_count, event_ends : In
        Events of the run, and up to the end of each time step.
    step_counts, active_counts, input_count : In
        Entries of the lists of spikes, of active neurons by layer, of active inputs.
    finished : In
        From the spike encoder.
    lists_done, traces_ready : In(1)
        All lists are complete; the traces of hidden neurons are those before this run.
    error_busy, error_closing, error_source : In
        From the error unit (``busy_source``).
    item : Out(item_layout)
    filter : Out(filter_command)
    below, event_begin : Out
        Lists that the running pass reads, and the first event of its time step.
    done : Out(1)
        All passes have ended and left the lanes; from then until ``start``.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits, self._size = limits, limits.lanes_per_group
        super().__init__(
            {
                "config": In(CONFIG),
                "layers": In(LAYERS),
                "start": In(1),
                "train": In(1),
                "event_count": In(13),
                "event_ends": In(data.ArrayLayout(13, HISTORY_STEPS)),
                "step_counts": In(counts_layout(limits)),
                "active_counts": In(data.ArrayLayout(13, MAX_HIDDEN)),
                "input_count": In(13),
                "finished": In(FINISHED),
                "lists_done": In(1),
                "traces_ready": In(1),
                "error_busy": In(1),
                "error_closing": In(1),
                "error_source": In(range(MAX_HIDDEN + 1)),
                "item": Out(item_layout(limits)),
                "filter": Out(filter_command(limits)),
                "below": Out(range(MAX_HIDDEN)),
                "event_begin": Out(13),
                "done": Out(1),
            }
        )

    config: data.View
    layers: data.View
    start: Signal
    train: Signal
    event_count: Signal
    event_ends: data.View
    step_counts: data.View
    active_counts: data.View
    input_count: Signal
    finished: data.View
    lists_done: Signal
    traces_ready: Signal
    error_busy: Signal
    error_closing: Signal
    error_source: Signal
    item: data.View
    filter: data.View
    below: Signal
    event_begin: Signal
    done: Signal

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.schedule = self._schedule = schedule = Schedule()
        m.submodules.runner = self._runner = runner = PassRunner(self._limits)
        m.submodules.filler = filler = FilterFiller(self._limits)
        wiring.connect(m, schedule.passes, runner.passes)
        m.d.comb += [
            schedule.config.eq(self.config),
            schedule.layers.eq(self.layers),
            schedule.start.eq(self.start),
            schedule.train.eq(self.train),
            runner.classes.eq(self.config.classes),
            filler.config.eq(self.config),
            filler.layers.eq(self.layers),
            self.item.eq(runner.item),
            self.filter.eq(filler.command),
            self.below.eq(runner.current.below),
        ]
        self._progress(m)
        self._start_passes(m)
        self._order_words(m, filler)

        ended = Signal(init=1)
        with m.If(self.start):
            m.d.sync += ended.eq(0)
        with m.Elif(runner.taken & runner.passes.p.last):
            m.d.sync += ended.eq(1)
        m.d.comb += self.done.eq(
            ended & ~runner.running & self._quiet & self.lists_done & (self._error_steps == self.config.steps)
        )
        return m

    def _progress(self, m: Module) -> None:
        """How far the run is: steps fired by layer, steps with errors by read-out, cycles since the last item."""
        steps = range(HISTORY_STEPS + 1)
        self._fired_steps = Array(Signal(steps, name=f"fired_steps_{n}") for n in range(MAX_HIDDEN))
        self._error_steps = Signal(steps)
        self._local_steps = Array(Signal(steps, name=f"local_steps_{n}") for n in range(MAX_HIDDEN))
        # One read-out at a time, the network's or a layer's own, is on its way through the error unit. The next may
        # start where it gets there after CLOSING_CYCLES.
        self._reading_out = Signal()
        error_was_busy = Signal()
        m.d.sync += error_was_busy.eq(self.error_busy)
        waiting = self._runner.passes.p
        reads_out = (waiting.read_out & (waiting.kind == Kind.SPIKES)) | (waiting.kind == Kind.LOCAL)
        with m.If(self._runner.taken & reads_out):
            m.d.sync += self._reading_out.eq(1)
        with m.Elif(self.error_closing):
            m.d.sync += self._reading_out.eq(0)
        with m.If(self.start):
            m.d.sync += [
                *(count.eq(0) for counts in (self._fired_steps, self._local_steps) for count in counts),
                self._error_steps.eq(0),
            ]
        with m.Else():
            with m.If(self.finished.valid):
                m.d.sync += self._fired_steps[self.finished.layer].eq(self.finished.step + 1)
            with m.If(error_was_busy & ~self.error_busy):
                with m.If(self.error_source == READOUT_LAYER):
                    m.d.sync += self._error_steps.eq(self._error_steps + 1)
                with m.Else():
                    source = self.error_source[:2]
                    m.d.sync += self._local_steps[source].eq(self._local_steps[source] + 1)

        item = self._runner.item
        # The neurons take a word's sums lane after lane, then need some cycles more until its credits are written.
        written = QUIET + self._size + LATENCY
        since_item = Signal(range(QUIET + 1), init=QUIET)
        since_feedback = Signal(range(written + 1), init=written)
        for since, restart, most in (
            (since_item, item.valid, QUIET),
            (since_feedback, item.valid & (item.kind == Kind.FEEDBACK), written),
        ):
            with m.If(restart):
                m.d.sync += since.eq(0)
            with m.Elif(since != most):
                m.d.sync += since.eq(since + 1)
        self._quiet = since_item == QUIET
        self._feedback_quiet = since_feedback >= QUIET
        self._credits_written = since_feedback == written

    def _start_passes(self, m: Module) -> None:
        """When the waiting pass may start, and how many items its words have.

        The pass is looked at in two stages: what it alone tells, then how far the run is.
        """
        runner = self._runner
        frame = Signal()
        m.d.comb += frame.eq(~decode_input(self.config.input).events)

        # Stage 1: the pass itself, and the counts that it names. They are complete when it may start, and stay.
        waiting, settled = record(PASS, "waiting", reset_less=True), Signal()
        local = Signal(reset_less=True)
        begin, end = Signal.like(self.event_begin, reset_less=True), Signal.like(self.event_begin, reset_less=True)
        spikes, actives, inputs = (
            Signal.like(runner.items, name=name, reset_less=True) for name in ("spikes", "actives", "inputs")
        )
        seen = runner.passes.p
        # A frame is all in step 0.
        first_end = Signal.like(end)
        m.d.sync += first_end.eq(Mux(frame, self.event_count, self.event_ends[0]))
        begins, ends = (
            Array([0, *(self.event_ends[n] for n in range(HISTORY_STEPS - 1))]),
            Array([first_end, *(self.event_ends[n] for n in range(1, HISTORY_STEPS))]),
        )
        m.d.sync += [
            waiting.eq(seen),
            settled.eq(runner.passes.valid & ~runner.taken),
            local.eq(seen.settings.local_shift != 0),
            begin.eq(begins[seen.step]),
            end.eq(ends[seen.step]),
            spikes.eq(Array(self.step_counts[n] for n in range(MAX_HIDDEN))[seen.below][seen.step[0]]),
            actives.eq(Array(self.active_counts[n] for n in range(MAX_HIDDEN))[seen.below]),
            inputs.eq(Mux(frame, self.event_count, self.input_count)),
        ]
        with m.If(runner.taken):
            m.d.sync += self.event_begin.eq(begin)

        # Stage 2.
        step, layer, below = waiting.step, waiting.layer[:2], waiting.below
        # A neuron's step needs its last one written; a step below must be complete.
        fired_last = Array(fired >= step for fired in self._fired_steps)
        fired_this = Array(fired > step for fired in self._fired_steps)
        local_errors = Array(steps > step for steps in self._local_steps)
        may_start = Signal()
        items = Signal.like(runner.items)
        with m.Switch(waiting.kind):
            with m.Case(Kind.INPUT):
                first = self._quiet & (frame | self.traces_ready)
                m.d.comb += may_start.eq(Mux(step == 0, first, fired_last[0]))
                m.d.comb += items.eq(end - begin + 1)
            with m.Case(Kind.FIRE):
                # The first step needs the input current, which is stored while the pass before ends, and marks what
                # spikes.
                m.d.comb += may_start.eq(Mux(step == 0, ~runner.running & self.traces_ready, fired_last[0]))
                m.d.comb += items.eq(1)
            with m.Case(Kind.SPIKES):
                ready = Mux(waiting.read_out, ~self._reading_out, fired_last[layer])
                m.d.comb += may_start.eq(fired_this[below] & ready)
                m.d.comb += items.eq(spikes + 1)
            with m.Case(Kind.FEEDBACK):
                # Entries that the last step updates must be written before they are read again.
                m.d.comb += may_start.eq(
                    (self._error_steps > step)
                    & (~local | local_errors[layer])
                    & ((waiting.layer != 0) | self._feedback_quiet)
                )
                m.d.comb += items.eq(
                    Mux(decode_rule(self.config.rule).from_loss, 1, self.config.classes)
                    + Mux(local, self.config.classes, 0)
                )
            with m.Case(Kind.LOCAL):
                m.d.comb += may_start.eq(fired_this[layer] & ~self._reading_out & self._feedback_quiet)
                m.d.comb += items.eq(waiting.settings.words)
            with m.Case(Kind.LEARN_SPIKES):
                m.d.comb += may_start.eq((self._error_steps == self.config.steps) & self.lists_done)
                m.d.comb += items.eq(actives + 1)
            with m.Case(Kind.LEARN_INPUT):
                m.d.comb += may_start.eq(1)
                m.d.comb += items.eq(inputs + 1)
        m.d.sync += [
            runner.may_start.eq(may_start & settled & ~runner.taken),
            runner.items.eq(items),
        ]

    def _order_words(self, m: Module, filler: FilterFiller) -> None:
        """When the first item of a word may be issued, and the filler's pace."""
        runner = self._runner
        item = runner.item
        learns = runner.learns
        # The lanes change to a word's tables eleven cycles after its first item; the first entry of the next ones is
        # written twelve cycles after it at the earliest.
        loads, loaded, ready = Signal(), Signal(), Signal()
        m.d.comb += loads.eq(item.valid & item.first & learns)
        m.d.sync += [loaded.eq(loads), ready.eq(filler.filled & ~loads & ~loaded)]
        m.d.comb += runner.word_ready.eq(ready)

        # The sums of a word leave the lanes through the chain: to the neurons, or as read-outs.
        leaving = Signal(range(self._limits.lanes + 1))
        chain_free = Signal(init=1)
        reads_out = Signal()
        with m.If(runner.taken):
            waiting = runner.passes.p
            m.d.sync += reads_out.eq((waiting.kind == Kind.SPIKES) & waiting.read_out)
        with m.If(item.valid & item.last & runner.posts):
            m.d.sync += [leaving.eq(self._size - 1), chain_free.eq(0)]
            with m.If(reads_out & (item.valid_lanes > self._size)):
                m.d.sync += leaving.eq(item.valid_lanes - 1)
        with m.Elif(~chain_free):
            m.d.sync += [leaving.eq(leaving - 1), chain_free.eq(leaving == 1)]
        m.d.comb += runner.chain_free.eq(chain_free)

        next_pass = runner.passes
        learn_waits = next_pass.valid & is_learn(next_pass.p.kind)
        complete, was_complete = Signal(), Signal()
        m.d.sync += was_complete.eq(complete)
        m.d.comb += [
            # In the cycle of start the count is still that of the run before.
            complete.eq(self.train & ~self.start & (self._error_steps == self.config.steps)),
            filler.start.eq(complete & ~was_complete),
            filler.hidden_ready.eq((learn_waits | learns) & self._credits_written),
            filler.loaded.eq(loaded),
        ]
