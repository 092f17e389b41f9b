"""Issue: from a row of a pass to the command for the lanes."""

from amaranth import Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from opzo.hw.decode import decode_input, decode_rule
from opzo.hw.input.traces import ENTRY
from opzo.hw.lanes.lane_command import AfterWord, lane_command
from opzo.hw.lib.record import record
from opzo.hw.registers import CONFIG
from opzo.hw.schedule.passes import Kind, is_learn, item_layout, tag_layout
from opzo.spec.formats import BIAS_INPUT, HISTORY_STEPS, MEMBRANE, SCALED_ERROR, SPIKE_INPUT
from opzo.spec.network import Limits

LATENCY = 4
"""Cycles from an item to its command."""


class Issue(wiring.Component):
    """Find out what an item's row is, and make the command.

    In the cycle of ``item`` the lists, the events and the errors are asked for entry ``item.index``; the answers come
    one cycle later, and are used another one later. In that cycle the history memory is asked, whose answer, two cycles
    later, goes with the command.

    Members
    -------
    item : In(item_layout)
    event_address, event_value, step_row, active_row, input_row : In
        Answers one cycle after ``item``.
    error, difference, loss : In
        Scaled error of class ``index`` (of the local read-out where the item is ``local``), difference of its
        read-outs, scaled loss (in the cycle of ``item``).
    trace_index, input_index : Out, neuron_trace, input_trace : In(ENTRY)
        Asked for two cycles after ``item``, answered two later.
    bias_trace : In(8)
        Trace of the bias rows.
    mark : Out({valid, row, bits})
        Strobe, two cycles after ``item``: an event, to be marked in the traces of the inputs.
    config : In(CONFIG), train, fresh, phase, measure : In(1)
        Settings; ``phase``: the run's steps 0, 2, ... are the second of an antithetic pair; ``measure``: feedback
        entries of step 0 go to the scale estimators.
    load : Out(1)
        One cycle before ``command``, where it is the first of a word to be learned.
    command : Out(lane_command), tag : Out(tag_layout)
        LATENCY cycles after ``item``.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        neuron = (max(limits.words, 2) - 1).bit_length() + (limits.lanes - 1).bit_length()
        super().__init__(
            {
                "item": In(item_layout(limits)),
                "event_address": In(12),
                "event_value": In(8),
                "step_row": In(neuron),
                "active_row": In(neuron),
                "input_row": In(12),
                "error": In(SCALED_ERROR.width),
                "difference": In(MEMBRANE.width + 1),
                "loss": In(SCALED_ERROR.width),
                "trace_index": Out(neuron),
                "input_index": Out(12),
                "neuron_trace": In(ENTRY),
                "input_trace": In(ENTRY),
                "bias_trace": In(HISTORY_STEPS),
                "mark": Out(data.StructLayout({"valid": 1, "row": 12, "bits": HISTORY_STEPS})),
                "config": In(CONFIG),
                "train": In(1),
                "fresh": In(1),
                "phase": In(1),
                "measure": In(1),
                "load": Out(1),
                "command": Out(lane_command(limits)),
                "tag": Out(tag_layout(limits)),
            }
        )

    item: data.View
    event_address: Signal
    event_value: Signal
    step_row: Signal
    active_row: Signal
    input_row: Signal
    error: Signal
    difference: Signal
    loss: Signal
    trace_index: Signal
    input_index: Signal
    neuron_trace: data.View
    input_trace: data.View
    bias_trace: Signal
    mark: data.View
    config: data.View
    train: Signal
    fresh: Signal
    phase: Signal
    measure: Signal
    load: Signal
    command: data.View
    tag: data.View

    def elaborate(self, platform: object) -> Module:
        m = Module()
        config = self.config
        rule, kind = decode_rule(config.rule), decode_input(config.input)
        zero_order, momentum, noisy = Signal(), Signal(), Signal()
        frame, graded = Signal(), Signal()
        # Constant during a run; much hangs on them.
        m.d.sync += [
            zero_order.eq(rule.from_loss),
            momentum.eq(rule.momentum),
            noisy.eq(rule.noise),
            frame.eq(~kind.events),
            graded.eq(kind.graded),
        ]

        # One cycle after the item its row is there, straight out of a memory; one later all answers are registered.
        asked, item = Signal.like(self.item), Signal.like(self.item)
        loss, asked_loss = (Signal.like(self.loss, name=name, reset_less=True) for name in ("loss", "asked_loss"))
        event_value, error, difference = (
            Signal.like(port, name=name, reset_less=True)
            for name, port in (
                ("value", self.event_value),
                ("taken_error", self.error),
                ("taken_difference", self.difference),
            )
        )
        listed = Signal(12, reset_less=True)
        m.d.sync += [
            asked.eq(self.item),
            item.eq(asked),
            asked_loss.eq(self.loss),
            loss.eq(asked_loss),
            event_value.eq(self.event_value),
            error.eq(self.error),
            difference.eq(self.difference),
        ]
        # One bit for each memory that may have been asked: they are slow.
        sources = [Signal(name=f"from_{name}", reset_less=True) for name in ("steps", "active", "inputs", "events")]
        from_steps, from_active, from_inputs, from_events = sources
        learns_inputs = (self.item.kind == Kind.LEARN_INPUT) & ~frame
        m.d.sync += [
            from_steps.eq(self.item.kind == Kind.SPIKES),
            from_active.eq(self.item.kind == Kind.LEARN_SPIKES),
            from_inputs.eq(learns_inputs),
            from_events.eq((self.item.kind != Kind.SPIKES) & (self.item.kind != Kind.LEARN_SPIKES) & ~learns_inputs),
        ]
        rows = (self.step_row, self.active_row, self.input_row, self.event_address)
        chosen = [Mux(source, row, 0) for source, row in zip(sources, rows, strict=True)]
        m.d.sync += listed.eq(chosen[0] | chosen[1] | chosen[2] | chosen[3])
        is_input = item.kind == Kind.INPUT
        learns_frame = frame & (item.kind == Kind.LEARN_INPUT)
        learns_listed = ~frame & (item.kind == Kind.LEARN_INPUT)
        # Which operand and whose row it is was found out with the answers.
        has_row, is_spike, is_value = Signal(reset_less=True), Signal(reset_less=True), Signal(reset_less=True)
        m.d.sync += [
            has_row.eq(is_learn(asked.kind) | (asked.kind == Kind.INPUT) | (asked.kind == Kind.SPIKES)),
            is_spike.eq((asked.kind == Kind.SPIKES) | ((asked.kind == Kind.INPUT) & ~frame & (asked.bias | ~graded))),
            is_value.eq((asked.kind == Kind.INPUT) | ((asked.kind == Kind.LEARN_INPUT) & frame)),
        ]
        row = Signal(13)
        with m.If(item.bias):
            m.d.comb += row.eq(item.bias_row)
        with m.Elif(has_row):
            m.d.comb += row.eq(listed)
        # The base of entries is that of the entry itself.
        lane_bits = (self._limits.lanes - 1).bit_length()
        m.d.comb += [
            self.trace_index.eq(listed + (item.below_base << lane_bits)),
            self.input_index.eq(listed),
            self.mark.valid.eq(item.valid & is_input & item.last_word & ~item.bias & ~frame),
            self.mark.row.eq(listed),
            self.mark.bits.eq(Mux(graded, event_value, 1 << item.step)),
        ]

        # Then the command, but for history and trace, which come a cycle later.
        command = Signal.like(self.command)
        tag = Signal.like(self.tag)
        choice = data.StructLayout(dict.fromkeys(("neuron", "input", "value", "bias"), 1))
        learns, learned = record(choice, "learns", reset_less=True), record(choice, "learned", reset_less=True)
        whole_command, whole_tag = Signal.like(self.command), Signal.like(self.tag)
        m.d.sync += [whole_command.eq(command), whole_tag.eq(tag), learned.eq(learns)]
        learn = is_learn(item.kind)
        feedback = item.kind == Kind.FEEDBACK
        odd = item.step[0] ^ self.phase
        # The local read-out learns in every step, M in the second of a pair.
        updates = item.local | (momentum & odd)
        no_class = zero_order & ~item.local
        noise = self.train & noisy
        after_word = Signal(AfterWord)
        with m.If(item.last & item.valid):
            with m.Switch(item.kind):
                with m.Case(Kind.INPUT):
                    m.d.comb += after_word.eq(Mux(frame, AfterWord.STORE.value, AfterWord.FIRE.value))
                with m.Case(Kind.FIRE):
                    m.d.comb += after_word.eq(AfterWord.FIRE)
                with m.Case(Kind.SPIKES):
                    m.d.comb += after_word.eq(Mux(item.read_out, AfterWord.READOUT.value, AfterWord.FIRE.value))
                with m.Case(Kind.FEEDBACK):
                    m.d.comb += after_word.eq(AfterWord.CREDIT)
        m.d.sync += [
            self.load.eq(item.valid & learn & item.first),
            command.address.eq(item.base + row),
            command.integrate.eq(item.valid & ((item.kind == Kind.INPUT) | (item.kind == Kind.SPIKES))),
            command.feedback.eq(item.valid & feedback),
            command.zero_order.eq(no_class & feedback),
            command.local.eq(item.local),
            command.learn.eq(item.valid & learn),
            command.first.eq(item.first),
            command.update.eq(item.valid & (learn | (feedback & updates))),
            command.draw.eq(
                item.valid & (learn | (feedback & updates) | ((after_word == AfterWord.FIRE) & noise & ~odd))
            ),
            command.after_word.eq(after_word),
            command.sums.eq(after_word != AfterWord.NONE),
            command.kept.eq(item.kind == Kind.FIRE),
            command.difference.eq(Mux(item.local, error.as_signed(), difference.as_signed())),
            # All other operations take the row as it is.
            command.feedback_shift.eq(Mux(feedback, item.feedback_shift, 0)),
            command.decay_shift.eq(Mux(item.local, 0, Mux(feedback, config.leak_shift, config.decay_shift))),
            command.noise.eq(noise),
            command.odd.eq(odd),
            command.fresh.eq(self.fresh & (item.step == 0)),
            command.word.eq(item.word_base + item.word),
            command.step.eq(item.step),
            command.valid_lanes.eq(item.valid_lanes),
            learns.neuron.eq((item.kind == Kind.LEARN_SPIKES) & ~item.bias),
            learns.input.eq(learns_listed & ~item.bias & ~graded),
            learns.value.eq(learns_listed & ~item.bias & graded),
            learns.bias.eq(learn & ~learns_frame & item.bias),
            command.history.eq(Mux(learn & ~learns_frame & item.bias, ~(~0 << config.steps), 0)[:HISTORY_STEPS]),
            tag.after_word.eq(after_word),
            tag.layer.eq(item.layer),
            tag.step.eq(item.step),
            tag.word.eq(item.word),
            tag.first_word.eq(item.first_word),
            tag.last_word.eq(item.last_word),
            tag.measure.eq(item.valid & feedback & self.measure & (item.step == 0) & ~item.local),
            tag.feedback.eq(item.valid & feedback),
            tag.local.eq(item.valid & (item.kind == Kind.LOCAL)),
            tag.first.eq(item.first),
            tag.last.eq(item.last),
        ]
        with m.If(is_spike):
            m.d.sync += command.operand.eq(SPIKE_INPUT)
        with m.Elif(is_value):
            m.d.sync += command.operand.eq(Mux(item.bias, BIAS_INPUT, event_value))
        with m.Else():
            m.d.sync += command.operand.eq(Mux(no_class, loss, error))
        m.d.comb += [self.command.eq(whole_command), self.tag.eq(whole_tag)]
        with m.If(learned.neuron):
            m.d.comb += [
                self.command.history.eq(self.neuron_trace.history),
                self.command.operand.eq(self.neuron_trace.trace),
            ]
        with m.If(learned.input):
            m.d.comb += [
                self.command.history.eq(self.input_trace.history),
                self.command.operand.eq(self.input_trace.trace),
            ]
        with m.If(learned.value):
            m.d.comb += self.command.operand.eq(self.input_trace.trace + self.input_trace.history)
        with m.If(learned.bias):
            m.d.comb += self.command.operand.eq(self.bias_trace)
        return m
