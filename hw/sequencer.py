"""Sequencer: runs the passes of a sample, each as soon as what it needs is there."""

from amaranth import Array, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from opzo.hw.filler import FilterFiller
from opzo.hw.lane_command import filter_command
from opzo.hw.lists import counts_layout
from opzo.hw.passes import Kind, item_layout
from opzo.hw.registers import CONFIG, LAYERS
from opzo.hw.runner import PassRunner
from opzo.hw.scanner import FINISHED
from opzo.hw.schedule import Schedule
from opzo.spec.formats import HISTORY_STEPS
from opzo.spec.network import MAX_HIDDEN, Limits, Rule
from opzo.spec.registers import READOUT_LAYER

QUIET = 15
"""Cycles after an item in which it has left the lanes and all memories."""


class Sequencer(wiring.Component):
    """Schedule, pass runner and filter filler, and the conditions under which a pass may start.

    Members
    -------
    config, layers : In
        Settings; constant during a sample.
    start, train : In(1)
        Strobe, and whether the sample is learned from.
    event_count : In
        Events of the sample.
    step_counts, active_counts, finished, lists_done : In
        From the spike encoder.
    error_busy, read_out_busy : In(1)
        From the error unit and the read-out shifter.
    item : Out(item_layout)
    filter : Out(filter_command)
    step_parity, below : Out
        Lists that the running pass reads.
    done : Out(1)
        All passes have ended and left the lanes; from then until ``start``.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        super().__init__(
            {
                "config": In(CONFIG),
                "layers": In(LAYERS),
                "start": In(1),
                "train": In(1),
                "event_count": In(13),
                "step_counts": In(counts_layout(limits, 2)),
                "active_counts": In(counts_layout(limits, 1)),
                "finished": In(FINISHED),
                "lists_done": In(1),
                "error_busy": In(1),
                "read_out_busy": In(1),
                "item": Out(item_layout(limits)),
                "filter": Out(filter_command(limits)),
                "below": Out(range(MAX_HIDDEN)),
                "done": Out(1),
            }
        )

    config: data.View
    layers: data.View
    start: Signal
    train: Signal
    event_count: Signal
    step_counts: data.View
    active_counts: data.View
    finished: data.View
    lists_done: Signal
    error_busy: Signal
    read_out_busy: Signal
    item: data.View
    filter: data.View
    below: Signal
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
        """How far the sample is: steps fired by layer, steps with errors by read-out, cycles since the last item."""
        steps = range(HISTORY_STEPS + 1)
        self._fired_steps = Array(Signal(steps, name=f"fired_steps_{n}") for n in range(MAX_HIDDEN))
        self._error_steps = Signal(steps)
        self._local_steps = Array(Signal(steps, name=f"local_steps_{n}") for n in range(MAX_HIDDEN))
        # One read-out at a time, the network's or a layer's own, is on its way through the error unit.
        self._reading_out = Signal()
        reading_layer = Signal(range(MAX_HIDDEN + 1))
        error_was_busy = Signal()
        m.d.sync += error_was_busy.eq(self.error_busy)
        waiting = self._runner.passes.p
        reads_out = (waiting.read_out & (waiting.kind == Kind.SPIKES)) | (waiting.kind == Kind.LOCAL)
        with m.If(self._runner.taken & reads_out):
            m.d.sync += [self._reading_out.eq(1), reading_layer.eq(waiting.layer)]
        with m.Elif(error_was_busy & ~self.error_busy):
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
                with m.If(reading_layer == READOUT_LAYER):
                    m.d.sync += self._error_steps.eq(self._error_steps + 1)
                with m.Else():
                    m.d.sync += self._local_steps[reading_layer].eq(self._local_steps[reading_layer] + 1)

        item = self._runner.item
        since_item = Signal(range(QUIET + 1), init=QUIET)
        since_feedback = Signal(range(QUIET + 1), init=QUIET)
        for since, restart in (
            (since_item, item.valid),
            (since_feedback, item.valid & (item.kind == Kind.FEEDBACK)),
        ):
            with m.If(restart):
                m.d.sync += since.eq(0)
            with m.Elif(since != QUIET):
                m.d.sync += since.eq(since + 1)
        self._quiet = since_item == QUIET
        self._feedback_quiet = since_feedback == QUIET

    def _start_passes(self, m: Module) -> None:
        """When the waiting pass may start, and how many items its words have."""
        runner = self._runner
        waiting = runner.passes.p
        step = waiting.step
        fired = self._fired_steps
        may_start = Signal()
        items = Signal.like(runner.items)
        with m.Switch(waiting.kind):
            with m.Case(Kind.INPUT):
                m.d.comb += may_start.eq(self._quiet)
                m.d.comb += items.eq(self.event_count + 1)
            with m.Case(Kind.FIRE):
                # A neuron's step needs its last one written; the first one the input current.
                m.d.comb += may_start.eq(Mux(step == 0, ~runner.running, fired[0] >= step))
                m.d.comb += items.eq(1)
            with m.Case(Kind.SPIKES):
                ready = Mux(waiting.read_out, ~self._reading_out, fired[waiting.layer[:2]] >= step)
                m.d.comb += may_start.eq((fired[waiting.below] > step) & ready)
                m.d.comb += items.eq(Array(self.step_counts[n] for n in range(MAX_HIDDEN))[waiting.below][step[0]] + 1)
            with m.Case(Kind.FEEDBACK):
                # Entries that the last step updates must be written before they are read again.
                local = waiting.settings.local_shift != 0
                m.d.comb += may_start.eq(
                    (self._error_steps > step)
                    & (~local | (self._local_steps[waiting.layer[:2]] > step))
                    & ((waiting.layer != 0) | self._feedback_quiet)
                )
                m.d.comb += items.eq(
                    Mux(self.config.rule == Rule.ZO, 1, self.config.classes) + Mux(local, self.config.classes, 0)
                )
            with m.Case(Kind.LOCAL):
                m.d.comb += may_start.eq((fired[waiting.layer[:2]] > step) & ~self._reading_out & self._feedback_quiet)
                m.d.comb += items.eq(waiting.settings.words)
            with m.Case(Kind.LEARN_SPIKES):
                m.d.comb += may_start.eq((self._error_steps == self.config.steps) & self.lists_done)
                m.d.comb += items.eq(Array(self.active_counts[n][0] for n in range(MAX_HIDDEN))[waiting.below] + 1)
            with m.Case(Kind.LEARN_EVENTS):
                m.d.comb += may_start.eq(1)
                m.d.comb += items.eq(self.event_count + 1)
        m.d.sync += [
            runner.may_start.eq(may_start & runner.passes.valid & ~runner.taken),
            runner.items.eq(items),
        ]

    def _order_words(self, m: Module, filler: FilterFiller) -> None:
        """When the first item of a word may be issued, and the filler's pace."""
        runner = self._runner
        item, current = runner.item, runner.current
        learns = (current.kind == Kind.LEARN_EVENTS) | (current.kind == Kind.LEARN_SPIKES)
        # The lanes load their filters five cycles after the item: one cycle of delay keeps the filler behind that.
        loading = Signal()
        chain_taken = Signal()
        read_out_was_busy = Signal()
        m.d.sync += [
            loading.eq(item.valid & item.first & learns),
            read_out_was_busy.eq(self.read_out_busy),
        ]
        with m.If(item.valid & item.last & (current.kind == Kind.SPIKES) & current.read_out):
            m.d.sync += chain_taken.eq(1)
        with m.Elif(read_out_was_busy & ~self.read_out_busy):
            m.d.sync += chain_taken.eq(0)
        m.d.comb += runner.word_ready.eq(Mux(learns, filler.filled & ~loading, ~(current.read_out & chain_taken)))

        waiting = runner.passes
        learn_waits = waiting.valid & ((waiting.p.kind == Kind.LEARN_EVENTS) | (waiting.p.kind == Kind.LEARN_SPIKES))
        complete, was_complete = Signal(), Signal()
        m.d.sync += was_complete.eq(complete)
        m.d.comb += [
            # In the cycle of start the count is still that of the sample before.
            complete.eq(self.train & ~self.start & (self._error_steps == self.config.steps)),
            filler.start.eq(complete & ~was_complete),
            filler.hidden_ready.eq((learn_waits | learns) & self._feedback_quiet),
            filler.loaded.eq(loading),
        ]
