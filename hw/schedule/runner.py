"""Pass runner: the ops of one pass after another, one op per cycle."""

from typing import Any

from amaranth import Cat, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, Signature

from opzo.hw.lib.record import record
from opzo.hw.registers import CONFIG
from opzo.hw.schedule.block_walk import BlockWalk
from opzo.hw.schedule.passes import Kind, index_bits, is_learn, of_learning, op_layout, pass_layout
from opzo.hw.schedule.window_rows import window_row_layout
from opzo.hw.schedule.window_walk import walk_layout
from opzo.spec.geometry import CELL
from opzo.spec.limits import Limits


class StartSignature(Signature):
    """Permission for the waiting pass.

    Members
    -------
    may_start : Out(1), ops : Out
        The waiting pass may start, and its words have ``ops`` ops. Both may lag behind the pass, but must not stay up
        for the next one: see ``taken``.
    taken : In(1)
        The waiting pass is taken in this cycle.
    """

    def __init__(self, limits: Limits) -> None:
        super().__init__({"may_start": Out(1), "ops": Out(index_bits(limits)), "taken": In(1)})


class WordSignature(Signature):
    """Permission for the words of the running pass.

    Members
    -------
    learns : In(1), ready : Out(1)
        The running pass is one of Learn; then the first op of a word needs ``ready``.
    sums : In(1), chain_free : Out(1)
        The sums of the running pass leave the lanes; then the last op of a word needs ``chain_free``.
    """

    def __init__(self) -> None:
        super().__init__({"learns": In(1), "ready": Out(1), "sums": In(1), "chain_free": Out(1)})


class PassRunner(wiring.Component):
    """Turn passes into ops. Passes follow each other without a gap if the next one may start in time.

    Every word has ``ops`` ops; if the rows come from a list, the last op is that of the bias. A LOCAL pass iterates
    over the classes instead, each with ``ops`` words. The rows of a pass with ``windows`` come from a `WindowScan`.

    Members
    -------
    passes : In(stream of pass_layout)
    classes : In, intermediate : In
        Classes of the network; content of register INTERMEDIATE.
    start : In(StartSignature), words : In(WordSignature)
        Permissions.
    window : Out(stream of walk_layout), rows : In(stream of window_row_layout)
        To and from the `WindowScan`; the list is that of ``current``.
    part_ends : In(array), quiet : In(1)
        A dense layer behind a pool learns from its list part by part: index at which each part but the first begins,
        constant from the cycle before the pass is taken on, and whether the rows of all ops are written, for which each
        part waits. Neurons of different parts share rows.
    current : Out(pass_layout)
        Pass of ``op``, where that is valid.
    op : Out(op_layout)
        Combinational; the lists are to be read at its ``index``.
    running : Out(1)
        A pass is running.
    """

    passes: stream.Interface
    classes: Signal
    intermediate: Signal
    start: Any
    words: Any
    window: stream.Interface
    rows: stream.Interface
    part_ends: data.View
    quiet: Signal
    current: data.View
    op: data.View
    running: Signal

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        super().__init__(
            {
                "passes": In(stream.Signature(pass_layout(limits))),
                "classes": In(CONFIG["classes"].shape),
                "intermediate": In(CONFIG["intermediate"].shape),
                "start": In(StartSignature(limits)),
                "words": In(WordSignature()),
                "window": Out(stream.Signature(walk_layout())),
                "rows": In(stream.Signature(window_row_layout(limits))),
                "part_ends": In(data.ArrayLayout(limits.row_bits, CELL - 1)),
                "quiet": In(1),
                "current": Out(pass_layout(limits)),
                "op": Out(op_layout(limits)),
                "running": Out(1),
            }
        )
        op = self.op
        # Where the runner is. ``number`` counts like ``index``, but in FEEDBACK it is the class of the entry. ``begin``
        # is the base of the word, in LOCAL of the class; the next one starts ``stride`` rows later.
        self._position = data.StructLayout(
            {
                **dict.fromkeys(("index", "number"), index_bits(limits)),
                **dict.fromkeys(("base", "begin"), op.base.shape()),
                "gradient": range(max(limits.gradients, 2)),
                "word": op.word.shape(),
                "source": op.source.shape(),
                **dict.fromkeys(("local", "first", "ends_word", "last_word", "begins_learning", "ends_sums"), 1),
            }
        )
        # What stays the same in a pass. ``before_last`` and ``words_before_last`` are numbers of the last but one: what
        # a comparison of counters would find is known a cycle earlier, because the counters go up by one.
        self._plan = data.StructLayout(
            {
                "before_last": index_bits(limits),
                "stride": limits.row_bits,
                "entries": len(self.classes) + 1,
                "words_before_last": max(len(self.passes.p.settings.all_words), len(self.classes)),
                **dict.fromkeys(("single", "has_local", "is_feedback", "is_local", "is_fire", "is_apply", "parts"), 1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        current, position, plan = (
            record(self.current.shape(), "current"),
            record(self._position, "at"),
            record(self._plan, "plan"),
        )
        self._last_class = last_class = Signal.like(self.classes)
        go = Signal()
        load = Signal()
        last_op = Signal()
        may_go = Signal()
        next_ends_word = Signal()
        start, words = self.start, self.words
        m.submodules.walk = walk = BlockWalk()
        row = self.rows.p
        ends_word = Signal()
        waits = Signal()
        m.d.comb += [
            self.current.eq(current),
            next_ends_word.eq(Mux(position.ends_word, plan.single, position.index == plan.before_last)),
            may_go.eq((~position.begins_learning | words.ready) & (~position.ends_sums | words.chain_free)),
            go.eq(self.running & may_go & ~waits),
            ends_word.eq(position.ends_word),
            last_op.eq(position.ends_word & position.last_word),
            load.eq(~self.running | (go & last_op)),
            walk.layer.eq(current.settings),
            walk.start.eq(load),
            walk.next.eq(go & ends_word),
            start.taken.eq(start.may_start & load),
            self.passes.ready.eq(start.taken),
        ]
        m.d.sync += last_class.eq(self.classes - 1)
        if self._limits.gradients:
            if self._limits.learning:
                begins_part = self._find_parts(m, go, load | (go & ends_word), position.index)
                m.d.comb += waits.eq(plan.parts & begins_part & ~self.quiet)
            with m.If(current.windows):
                begins, ends = row.first & words.learns, row.bias & words.sums
                m.d.comb += [
                    may_go.eq((~begins | words.ready) & (~ends | words.chain_free)),
                    waits.eq(~self.rows.valid),
                    ends_word.eq(row.bias),
                    last_op.eq(row.final),
                    self.rows.ready.eq(self.running & may_go),
                ]
            self._ask_for_windows(m, current)
        with m.If(go):
            self._advance(m, current, position, plan, walk, ends_word, next_ends_word)
        with m.If(go & last_op):
            m.d.sync += self.running.eq(0)
        with m.If(start.taken):
            m.d.sync += self.running.eq(1)
        self._load(m, load, current, position, plan)
        self._emit(m, go, current, position, plan, walk)
        return m

    def _find_parts(self, m: Module, go: Value, restart: Value, index: Value) -> Signal:
        """Whether the next op is the first one of a part, but for the first.

        Known when the op before it is emitted, because the index goes up by one: the op waits for it.
        """
        begins = Signal(reset_less=True)
        from_zero = Signal(reset_less=True)
        ends = [self.part_ends[part] for part in range(CELL - 1)]
        before = [Signal.like(index, name=f"before_part_{part}", reset_less=True) for part in range(1, CELL)]
        m.d.sync += [
            *(last.eq(end - 1) for last, end in zip(before, ends, strict=True)),
            from_zero.eq(Cat(end == 0 for end in ends).any()),
        ]
        with m.If(restart):
            m.d.sync += begins.eq(from_zero)
        with m.Elif(go):
            m.d.sync += begins.eq(Cat(index == last for last in before).any())
        return begins

    def _ask_for_windows(self, m: Module, current: data.View) -> None:
        """Send the layer of a pass that has begun to the `WindowScan`."""
        window = self.window
        with m.If(window.ready):
            m.d.sync += window.valid.eq(0)
        with m.If(self.start.taken):
            m.d.sync += window.valid.eq(self.passes.p.windows)
        for name in ("kernel", "height", "width", "words", "cells"):
            m.d.comb += window.p[name].eq(current.settings[name])
        m.d.comb += window.p.channels.eq(current.settings.seen)

    def _advance(
        self,
        m: Module,
        current: data.View,
        position: data.View,
        plan: data.View,
        walk: BlockWalk,
        ends_word: Signal,
        next_ends_word: Signal,
    ) -> None:
        """Go to the next op, in a cycle that emits one."""
        m.d.sync += [
            position.index.eq(position.index + 1),
            position.number.eq(position.number + 1),
            position.first.eq(position.ends_word),
            position.begins_learning.eq(position.ends_word & self.words.learns),
            position.ends_word.eq(next_ends_word),
            position.ends_sums.eq(next_ends_word & self.words.sums),
        ]
        # Entries of the local readout come before those of the feedback matrix, then those of the intermediate one.
        network = self._limits.layers
        with m.If(plan.is_feedback & (position.number[: len(self.classes)] == self._last_class)):
            m.d.sync += [
                position.number.eq(0),
                position.local.eq(0),
                position.source.eq(Mux(position.local, network, self.intermediate - 1)),
            ]
        with m.If(ends_word):
            m.d.sync += [
                position.index.eq(0),
                position.word.eq(position.word + 1),
                position.number.eq(0),
                position.local.eq(plan.has_local),
                position.source.eq(Mux(plan.has_local, current.layer, network)),
                position.last_word.eq(position.word == plan.words_before_last),
            ]
        # The positions of a convolution share their weights.
        restarts = current.windows & walk.ends_position
        next_begin = Signal.like(position.begin)
        m.d.comb += next_begin.eq(Mux(restarts, current.settings.weight_base, position.begin + plan.stride))
        with m.If(ends_word):
            m.d.sync += [position.base.eq(next_begin), position.begin.eq(next_begin)]
            with m.If(~plan.is_apply):
                m.d.sync += position.gradient.eq(
                    Mux(walk.ends_position, current.settings.gradient_base, position.gradient + plan.stride)
                )
        with m.Elif(plan.is_feedback | plan.is_apply):
            m.d.sync += position.base.eq(position.base + 1)
        with m.Elif(plan.is_local):
            m.d.sync += position.base.eq(position.base + plan.entries)
        with m.If(plan.is_apply):
            m.d.sync += position.gradient.eq(position.gradient + 1)

    def _load(self, m: Module, load: Value, current: data.View, position: data.View, plan: data.View) -> None:
        """Take the settings of the waiting pass in every cycle until it may start: that it may is known late."""
        limits, waiting, ops = self._limits, self.passes.p, self.start.ops
        waiting_words = Signal(len(plan.words_before_last))
        m.d.comb += waiting_words.eq(waiting.settings.all_words)
        if limits.learning:
            with m.Switch(waiting.kind):
                with m.Case(Kind.LOCAL):
                    m.d.comb += waiting_words.eq(self.classes)
                with m.Case(Kind.FEEDBACK):
                    m.d.comb += waiting_words.eq(waiting.settings.block_words)
                with m.Case(Kind.APPLY):
                    m.d.comb += waiting_words.eq(waiting.settings.words)
        waiting_local = of_learning(limits, waiting.settings.local_shift != 0)
        learns = of_learning(limits, is_learn(waiting.kind))
        entries = Signal.like(plan.entries)
        first_base = Signal.like(position.base)
        sums = Signal()
        m.d.comb += entries.eq(
            self.classes + Mux(waiting_local, self.classes, 0) + Mux(waiting.intermediate, self.classes, 0)
        )
        with m.Switch(waiting.kind):
            with m.Case(Kind.INPUT, Kind.FIRE, Kind.SPIKES, Kind.FEEDBACK):
                m.d.comb += sums.eq(1)
        with m.If(of_learning(limits, (waiting.kind == Kind.FEEDBACK) | (waiting.kind == Kind.LOCAL))):
            m.d.comb += first_base.eq(waiting.settings.feedback_base)
        with m.Else():
            m.d.comb += first_base.eq(waiting.settings.weight_base)
        with m.If(load):
            m.d.sync += [
                current.eq(waiting),
                plan.before_last.eq(ops - 2),
                plan.single.eq(ops == 1),
                plan.words_before_last.eq(waiting_words - 2),
                plan.has_local.eq(waiting_local),
                plan.is_feedback.eq(of_learning(limits, waiting.kind == Kind.FEEDBACK)),
                plan.is_local.eq(of_learning(limits, waiting.kind == Kind.LOCAL)),
                plan.is_fire.eq(waiting.kind == Kind.FIRE),
                plan.is_apply.eq(of_learning(limits, waiting.kind == Kind.APPLY)),
                plan.parts.eq(
                    of_learning(limits, (waiting.kind == Kind.LEARN_SPIKES) & ~waiting.windows & waiting.settings.pool)
                ),
                plan.entries.eq(entries),
                plan.stride.eq(waiting.settings.rows),
                position.first.eq(1),
                position.begins_learning.eq(learns),
                position.ends_word.eq(ops == 1),
                position.ends_sums.eq((ops == 1) & sums),
                position.last_word.eq(waiting_words == 1),
                position.index.eq(0),
                position.word.eq(0),
                position.number.eq(0),
                position.local.eq(waiting_local),
                position.source.eq(Mux(waiting_local, waiting.layer, limits.layers)),
                position.base.eq(first_base),
                position.begin.eq(first_base),
                position.gradient.eq(waiting.settings.gradient_base),
                self.words.sums.eq(sums),
                self.words.learns.eq(learns),
            ]
            if limits.learning:
                with m.Switch(waiting.kind):
                    with m.Case(Kind.FEEDBACK):
                        m.d.sync += plan.stride.eq(entries)
                    with m.Case(Kind.LOCAL):
                        m.d.sync += plan.stride.eq(1)

    def _emit(
        self, m: Module, go: Value, current: data.View, position: data.View, plan: data.View, walk: BlockWalk
    ) -> None:
        """Op of this cycle."""
        op, settings = self.op, current.settings
        listed = ~plan.is_feedback & ~plan.is_local & ~plan.is_fire & ~plan.is_apply
        m.d.comb += [
            op.valid.eq(go),
            op.kind.eq(current.kind),
            op.readout.eq(current.readout),
            op.local.eq(plan.is_feedback & position.local),
            op.source.eq(position.source),
            op.layer.eq(current.layer),
            op.step.eq(current.step),
            op.first.eq(position.first),
            op.last.eq(position.ends_word),
            op.bias.eq(listed & position.ends_word),
            op.first_word.eq(position.word == 0),
            op.last_word.eq(position.last_word),
            op.base.eq(position.base),
            op.bias_row.eq(settings.rows - 1),
            op.index.eq(position.number),
            op.word.eq(Mux(plan.is_local, position.index, position.word)),
            op.word_base.eq(settings.word_base),
            op.below_base.eq(current.below_base),
            op.feedback_shift.eq(Mux(position.local, settings.local_shift, settings.feedback_shift)),
            op.neuron.eq(settings.neuron),
        ]
        if not self._limits.gradients:
            m.d.comb += op.valid_lanes.eq(Mux(position.last_word, settings.tail, self._limits.lanes))
            return
        row = self.rows.p
        of_blocks = plan.is_feedback | plan.is_local
        m.d.comb += [
            # The walk does not follow the words of a class; lanes without a neuron do not spike.
            op.valid_lanes.eq(Mux(walk.ends_position & ~plan.is_local, settings.tail, self._limits.lanes)),
            op.windows.eq(current.windows),
            op.seek.eq(position.first),
            op.pool.eq(settings.pool),
            op.shared.eq(settings.kernel != 0),
            op.block_word.eq(settings.block_base + Mux(of_blocks, op.word, walk.word)),
            op.begins_block.eq(walk.begins),
            op.block_shift.eq(settings.block_shift),
            op.gradient.eq(position.gradient),
        ]
        with m.If(current.windows):
            m.d.comb += [
                op.first.eq(row.first),
                op.last.eq(row.bias),
                op.bias.eq(row.bias),
                op.last_word.eq(row.final),
                op.index.eq(row.index),
                op.seek.eq(row.begins),
                op.window_base.eq(row.base),
            ]
