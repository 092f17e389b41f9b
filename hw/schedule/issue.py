"""Issue: from an op of a pass to the command for the lanes."""

from typing import Any

from amaranth import Const, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from opzo.hw.decode import decode_input, decode_rule
from opzo.hw.error.ports import ErrorReadSignature
from opzo.hw.input.active_rows import RowListSignature, TraceSignature, event_mark
from opzo.hw.input.event_buffer import EventReadSignature
from opzo.hw.input.scanner import encode
from opzo.hw.lanes.lane_command import AfterWord, lane_command
from opzo.hw.lib.record import record
from opzo.hw.registers import hidden_layers
from opzo.hw.run_control import RunSignature
from opzo.hw.schedule.passes import Kind, is_learn, of_learning, op_layout, tag_layout
from opzo.spec.formats import BIAS_INPUT, HISTORY_STEPS, SPIKE_INPUT
from opzo.spec.geometry import CELL_BITS
from opzo.spec.limits import Limits

_INPUT_KIND = data.StructLayout({"frame": 1, "graded": 1})
_TRACED = data.StructLayout({"neuron": 1, "input": 1, "value": 1, "bias": 1})
"""One-hot source of the operand of Learn: trace of a neuron or input, value of an input, trace of the bias."""


class Issue(wiring.Component):
    """Find the row of an op and build its command.

    In the cycle of ``op`` lists, events and errors are read; they answer one cycle later, and the answers are used
    another cycle later. Then the traces are read, whose answer, two cycles later, completes the command: ISSUE_CYCLES
    from ``op`` to ``command``.

    Members
    -------
    op : In(op_layout)
        From the sequencer.
    below, event_begin : In
        Layer whose lists the pass of ``op`` reads, and first event of its time step.
    run : In(RunSignature), measure : In(1)
        Run in progress; whether feedback entries of step 0 go to the scale estimators.
    events : Out(EventReadSignature), lists : Out(RowListSignature), errors : Out(ErrorReadSignature)
        Read in the cycle of ``op``.
    traces : Out(TraceSignature)
        Read two cycles after ``op``.
    mark : Out(event_mark)
        Two cycles after ``op``: an event, to be marked in the traces of the inputs.
    load : Out(1)
        One cycle before ``command``, if that is the first of a word that is learned.
    command : Out(lane_command), tag : Out(tag_layout)
        ISSUE_CYCLES after ``op``.
    """

    op: data.View
    below: Signal
    event_begin: Signal
    run: Any
    measure: Signal
    events: Any
    lists: Any
    errors: Any
    traces: Any
    mark: data.View
    load: Signal
    command: data.View
    tag: data.View

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        super().__init__(
            {
                "op": In(op_layout(limits)),
                "below": In(hidden_layers(limits)),
                "event_begin": In(limits.row_bits),
                "run": In(RunSignature()),
                "measure": In(1),
                "events": Out(EventReadSignature(limits)),
                "lists": Out(RowListSignature(limits)),
                "errors": Out(ErrorReadSignature(limits)),
                "traces": Out(TraceSignature(limits)),
                "mark": Out(event_mark(limits)),
                "load": Out(1),
                "command": Out(lane_command(limits)),
                "tag": Out(tag_layout(limits)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config = self.run.config
        kind = record(_INPUT_KIND, "input_kind")
        # Constant during a run. High fan-out, so registered.
        decoded = decode_input(config.input)
        m.d.sync += [kind.frame.eq(~decoded.events), kind.graded.eq(decoded.graded)]
        # Cycles of an op: ``asked`` when the answers come, ``op`` when they are registered.
        asked = Signal.like(self.op)
        op = Signal.like(self.op)
        m.d.sync += [asked.eq(self.op), op.eq(asked)]
        self._ask(m)
        listed, neuron = self._collect_rows(m, kind.frame)
        row = self._find_row(m, asked, op, listed)
        command, tag, traced = self._build(m, kind, asked, op, row)
        m.d.comb += [
            # The base of entries is that of the entry itself.
            self.traces.neuron.eq(neuron + (op.below_base << self._limits.lane_bits)),
            self.traces.input.eq(listed),
        ]
        # History and trace come a cycle later than the rest of the command.
        waiting_command = Signal.like(self.command)
        waiting_tag = Signal.like(self.tag)
        waiting_traced = record(_TRACED, "waiting_traced", reset_less=True)
        m.d.sync += [waiting_command.eq(command), waiting_tag.eq(tag), waiting_traced.eq(traced)]
        m.d.comb += [self.command.eq(waiting_command), self.tag.eq(waiting_tag)]
        if self._limits.learning:
            self._add_trace(m, waiting_traced)
        if self._limits.gradients and self._limits.learning:
            self._add_word_row(m, op, row, waiting_command)
        return m

    def _ask(self, m: Module) -> None:
        """Read what the op may need."""
        op, lists, errors = self.op, self.lists, self.errors
        m.d.comb += [
            self.events.index.eq(op.index + self.event_begin),
            lists.step_list.layer.eq(self.below),
            lists.step_list.parity.eq(op.step[0]),
            lists.below_base.eq(op.below_base),
            lists.index.eq(op.index),
            lists.next.eq(op.valid),
            lists.seek.eq(op.seek if self._limits.gradients else 0),
            errors.class_.eq(op.index),
            errors.source.eq(op.source),
            errors.step.eq(op.step),
        ]

    def _collect_rows(self, m: Module, frame: Value) -> tuple[Signal, Signal]:
        """Row that the list or the events name, and the number of the active neuron, two cycles after the op.

        With convolutions the row of an active neuron is that of its word, which comes later, and its lane.
        """
        op, lists = self.op, self.lists
        # One bit for each memory that may have been read, because the memories are slow.
        sources = [Signal(name=f"from_{name}", reset_less=True) for name in ("steps", "active", "inputs", "events")]
        from_steps, from_active, from_inputs, from_events = sources
        learns_inputs, learns_spikes = (
            of_learning(self._limits, op.kind == kind) for kind in (Kind.LEARN_INPUT, Kind.LEARN_SPIKES)
        )
        learns_inputs = learns_inputs & ~frame
        bits = self._limits.row_bits if self._limits.gradients else self._limits.input_bits
        listed = Signal(bits, reset_less=True)
        active = lists.active_neuron[: self._limits.lane_bits] if self._limits.gradients else lists.active_neuron
        rows = (lists.step_row, active, lists.input_row, self.events.address)
        chosen = [Mux(source, row, 0) for source, row in zip(sources, rows, strict=True)]
        m.d.sync += [
            from_steps.eq(op.kind == Kind.SPIKES),
            from_active.eq(learns_spikes),
            from_inputs.eq(learns_inputs),
            from_events.eq((op.kind != Kind.SPIKES) & ~learns_spikes & ~learns_inputs),
            listed.eq(chosen[0] | chosen[1] | chosen[2] | chosen[3]),
        ]
        if not self._limits.gradients:
            return listed, listed
        neuron = Signal(self._limits.neuron_bits, reset_less=True)
        m.d.sync += neuron.eq(lists.active_neuron)
        return listed, neuron

    def _find_row(self, m: Module, asked: data.View, op: data.View, listed: Signal) -> Signal:
        """Row of the op in its word, two cycles after the op; of an active neuron without the row of its word."""
        row = Signal(self._limits.row_bits)
        has_row = Signal(reset_less=True)
        lane = Signal(self._limits.lane_bits)
        if self._limits.gradients:
            # Encoded and added here, because the memory of the list is slow.
            spike = Signal.like(self.lists.step_lane, reset_less=True)
            m.d.sync += spike.eq(Mux(asked.kind == Kind.SPIKES, self.lists.step_lane, 0))
            m.d.comb += lane.eq(encode(spike))
        learn = of_learning(self._limits, is_learn(asked.kind))
        m.d.sync += has_row.eq(learn | (asked.kind == Kind.INPUT) | (asked.kind == Kind.SPIKES))
        with m.If(op.bias):
            m.d.comb += row.eq(op.bias_row)
        with m.Elif(has_row):
            m.d.comb += row.eq(listed + lane - op.window_base if self._limits.gradients else listed)
        return row

    def _build(
        self, m: Module, input_kind: data.View, asked: data.View, op: data.View, row: Signal
    ) -> tuple[data.View, data.View, data.View]:
        """Command, tag and source of the operand of Learn, three cycles after the op; and the mark, two after it."""
        run, config = self.run, self.run.config
        frame, graded = input_kind.frame, input_kind.graded
        rule = decode_rule(config.rule)
        zero_order = Signal()
        momentum = Signal()
        noisy = Signal()
        m.d.sync += [zero_order.eq(rule.from_loss), momentum.eq(rule.momentum), noisy.eq(rule.noise)]
        learn, feedback, applies, local = (
            of_learning(self._limits, kind)
            for kind in (is_learn(op.kind), *(op.kind == each for each in (Kind.FEEDBACK, Kind.APPLY, Kind.LOCAL)))
        )
        odd = op.step[0] ^ run.phase
        # The local readout learns in every step, the feedback matrices in the second one of a pair.
        windows = op.windows if self._limits.gradients else Const(0)
        updates = (learn & ~windows) | applies | (feedback & (op.local | (momentum & odd)))
        no_class = zero_order & ~op.local
        noise = of_learning(self._limits, run.sample.train & noisy)
        after_word = self._after_word(m, op, frame)
        learns_frame = frame & learn & (op.kind == Kind.LEARN_INPUT)
        learns_listed = ~frame & learn & (op.kind == Kind.LEARN_INPUT)
        learns_bias = learn & ~learns_frame & op.bias

        command = Signal.like(self.command)
        tag = Signal.like(self.tag)
        traced = record(_TRACED, "traced", reset_less=True)
        difference = self._choose_operand(m, input_kind, asked, op, command, no_class)
        m.d.sync += [
            self.load.eq(op.valid & learn & op.first),
            command.address.eq(op.base + row),
            command.integrate.eq(op.valid & ((op.kind == Kind.INPUT) | (op.kind == Kind.SPIKES))),
            command.feedback.eq(op.valid & feedback),
            command.zero_order.eq(no_class & feedback),
            command.local.eq(op.local | local),
            command.learn.eq(op.valid & learn),
            command.first.eq(op.first),
            command.update.eq(op.valid & updates),
            command.draw.eq(op.valid & (updates | ((after_word == AfterWord.FIRE) & noise & ~odd))),
            command.after_word.eq(after_word),
            command.sums.eq(after_word != AfterWord.NONE),
            command.kept.eq(op.kind == Kind.FIRE),
            command.difference.eq(difference),
            # All other operations take the row as it is.
            command.feedback_shift.eq(Mux(feedback, op.feedback_shift, 0)),
            command.decay_shift.eq(Mux(op.local, 0, Mux(feedback, config.leak_shift, config.decay_shift))),
            command.noise.eq(noise),
            command.odd.eq(odd),
            command.fresh.eq(run.fresh & (op.step == 0)),
            command.neuron.eq(op.neuron),
            command.word.eq(op.word_base + op.word),
            command.step.eq(op.step),
            command.valid_lanes.eq(op.valid_lanes),
            command.history.eq(Mux(learns_bias, ~(~0 << config.steps), 0)[:HISTORY_STEPS]),
            traced.neuron.eq(learn & (op.kind == Kind.LEARN_SPIKES) & ~op.bias),
            traced.input.eq(learns_listed & ~op.bias & ~graded),
            traced.value.eq(learns_listed & ~op.bias & graded),
            traced.bias.eq(learns_bias),
            tag.after_word.eq(after_word),
            *(tag[name].eq(op[name]) for name in ("layer", "step", "word", "first_word", "last_word", "first", "last")),
            tag.measure.eq(op.valid & feedback & self.measure & (op.step == 0) & ~op.local),
            tag.feedback.eq(op.valid & feedback),
            tag.local.eq(op.valid & local),
            tag.apply.eq(op.valid & applies),
        ]
        if self._limits.gradients:
            m.d.sync += [
                command.pool.eq(op.pool),
                command.block_word.eq(op.block_word),
                command.begins_block.eq(op.begins_block),
                command.block_shift.eq(op.block_shift),
                command.shared.eq(op.shared),
                command.accumulate.eq(op.valid & learn & windows),
                command.cell.eq(op.pool & op.bias),
                command.quarter.eq(op.valid & learn & ~windows & op.pool & ~op.bias),
                command.apply.eq(op.valid & applies),
                command.gradient_address.eq(op.gradient + row),
            ]
        return command, tag, traced

    def _after_word(self, m: Module, op: data.View, frame: Value) -> Signal:
        """Use of the sums after the last op of a word."""
        after_word = Signal(AfterWord)
        with m.If(op.last & op.valid):
            with m.Switch(op.kind):
                with m.Case(Kind.INPUT):
                    m.d.comb += after_word.eq(Mux(frame, AfterWord.STORE.value, AfterWord.FIRE.value))
                with m.Case(Kind.FIRE):
                    m.d.comb += after_word.eq(AfterWord.FIRE)
                with m.Case(Kind.SPIKES):
                    m.d.comb += after_word.eq(Mux(op.readout, AfterWord.READOUT.value, AfterWord.FIRE.value))
                if self._limits.learning:
                    with m.Case(Kind.FEEDBACK):
                        m.d.comb += after_word.eq(AfterWord.CREDIT)
                        if self._limits.gradients:
                            with m.If(op.shared):
                                m.d.comb += after_word.eq(AfterWord.SHARE)
        return after_word

    def _choose_operand(
        self, m: Module, input_kind: data.View, asked: data.View, op: data.View, command: data.View, no_class: Value
    ) -> Value:
        """Operand of the command, and the mark of an event; the step of a feedback entry."""
        frame, graded = input_kind.frame, input_kind.graded
        # The events of a map are marked when the ends of its positions are found.
        windows = op.windows if self._limits.gradients else Const(0)
        loss, asked_loss = (
            Signal.like(self.errors.loss, name=name, reset_less=True) for name in ("loss", "asked_loss")
        )
        value, error, difference = (
            Signal.like(port, name=name, reset_less=True)
            for name, port in (
                ("value", self.events.value),
                ("error", self.errors.error),
                ("difference", self.errors.difference),
            )
        )
        # Which operand it is was found together with the answers.
        is_spike = Signal(reset_less=True)
        is_value = Signal(reset_less=True)
        m.d.sync += [
            asked_loss.eq(self.errors.loss),
            loss.eq(asked_loss),
            value.eq(self.events.value),
            error.eq(self.errors.error),
            difference.eq(self.errors.difference),
            is_spike.eq((asked.kind == Kind.SPIKES) | ((asked.kind == Kind.INPUT) & ~frame & (asked.bias | ~graded))),
            is_value.eq(
                (asked.kind == Kind.INPUT) | (of_learning(self._limits, asked.kind == Kind.LEARN_INPUT) & frame)
            ),
        ]
        with m.If(is_spike):
            m.d.sync += command.operand.eq(SPIKE_INPUT)
            if self._limits.gradients:
                # The sum behind a pool counts quarters.
                with m.If(op.pool & op.bias):
                    m.d.sync += command.operand.eq(SPIKE_INPUT << CELL_BITS)
        with m.Elif(is_value):
            m.d.sync += command.operand.eq(Mux(op.bias, BIAS_INPUT, value))
        if self._limits.learning:
            with m.Else():
                m.d.sync += command.operand.eq(Mux(no_class, loss, error))
        m.d.comb += [
            self.mark.valid.eq(op.valid & (op.kind == Kind.INPUT) & op.last_word & ~op.bias & ~frame & ~windows),
            self.mark.row.eq(self.traces.input),
            self.mark.bits.eq(Mux(graded, value, 1 << op.step)),
        ]
        step: Value = Mux(op.local, error, difference)
        return step

    def _add_word_row(self, m: Module, op: data.View, row: Signal, command: data.View) -> None:
        """Complete the addresses by the row of the word of an active neuron, which comes a cycle later than the others.

        ``row`` is that of ``op``, ``command`` that of the op before.
        """
        found, base, gradient = (
            Signal.like(value, name=name, reset_less=True)
            for name, value in (("found", row), ("base", op.base), ("gradient", op.gradient))
        )
        is_active = Signal(reset_less=True)
        exact = Signal.like(row, name="exact_row")
        m.d.sync += [
            found.eq(row),
            base.eq(op.base),
            gradient.eq(op.gradient),
            is_active.eq((op.kind == Kind.LEARN_SPIKES) & ~op.bias),
            command.address.eq(base + exact),
            command.gradient_address.eq(gradient + exact),
        ]
        m.d.comb += exact.eq(found + Mux(is_active, self.traces.word_row, 0))

    def _add_trace(self, m: Module, traced: data.View) -> None:
        """Complete a command of Learn by history and trace of its row."""
        neuron, input_ = self.traces.neuron_entry, self.traces.input_entry
        with m.If(traced.neuron):
            m.d.comb += [self.command.history.eq(neuron.history), self.command.operand.eq(neuron.trace)]
        with m.If(traced.input):
            m.d.comb += [self.command.history.eq(input_.history), self.command.operand.eq(input_.trace)]
        with m.If(traced.value):
            m.d.comb += self.command.operand.eq(input_.trace + input_.history)
        with m.If(traced.bias):
            m.d.comb += self.command.operand.eq(self.run.bias_trace)
