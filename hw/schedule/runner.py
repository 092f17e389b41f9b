"""Pass runner: goes through the words and rows of one pass after another, one row a cycle."""

from amaranth import Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from opzo.hw.lib.record import record
from opzo.hw.schedule.passes import PASS, Kind, is_learn, item_layout
from opzo.spec.network import Limits


class PassRunner(wiring.Component):
    """Turn passes into items. Passes follow each other without a gap where the next one may start in time.

    Every word has ``items`` rows; where rows come from a list the last of them is the bias. A LOCAL pass goes through
    the classes instead, each of ``items`` words.

    Members
    -------
    passes : In(stream of PASS)
    may_start : In(1), items : In
        Whether there is a waiting pass that may start, and how many items a word of it has; both may lag behind
        ``passes``, but not stay up for the next one: see ``taken``.
    taken : Out(1)
        The waiting pass is taken in this cycle.
    word_ready : In(1), learns : Out(1)
        The first item of a word may be issued, if ``learns``: the current pass is one of Learn.
    chain_free : In(1), posts : Out(1)
        The last item of a word may be issued, if ``posts``: the sums of the current pass leave the lanes.
    current : Out(PASS)
        The pass that ``item`` belongs to, where that is valid.
    item : Out(item_layout)
        Combinational; ``index`` is what the lists are to be read at.
    running : Out(1)
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self.item_bits = 13
        super().__init__(
            {
                "passes": In(stream.Signature(PASS)),
                "may_start": In(1),
                "items": In(self.item_bits),
                "classes": In(7),
                "taken": Out(1),
                "word_ready": In(1),
                "learns": Out(1),
                "chain_free": In(1),
                "posts": Out(1),
                "current": Out(PASS),
                "item": Out(item_layout(limits)),
                "running": Out(1),
            }
        )

    passes: stream.Interface
    may_start: Signal
    items: Signal
    classes: Signal
    taken: Signal
    word_ready: Signal
    learns: Signal
    chain_free: Signal
    posts: Signal
    current: data.View
    item: data.View
    running: Signal

    def elaborate(self, platform: object) -> Module:
        m = Module()
        current = record(PASS, "current")
        # Of a word the last item but one. ``number`` counts like ``index``, but of FEEDBACK it is the entry's class.
        before_last = Signal(self.item_bits)
        index, number = Signal(self.item_bits), Signal(self.item_bits)
        base = Signal.like(self.item.base)
        # Where the word began, or of a LOCAL pass the class; the next one begins a stride later.
        begin = Signal.like(self.item.base)
        stride, entries = Signal(13), Signal(len(self.classes) + 1)
        next_entries = Signal.like(entries)
        has_local = Signal()
        last_class = Signal.like(self.classes)
        word = Signal.like(self.item.word)
        local = Signal()
        go, ends_pass = Signal(), Signal()
        settings = current.settings
        first_base = Signal.like(self.item.base)
        is_feedback, is_local, is_fire = Signal(), Signal(), Signal()
        # What a comparison of counters would tell is known a cycle earlier: the counters only go up by one.
        first, ends_word, last_word = Signal(), Signal(), Signal()
        single, words_before_last = Signal(), Signal(max(len(settings.words), len(self.classes)))
        may_go, last_item, load = Signal(), Signal(), Signal()
        # First item of a word that is learned, last one of a word whose sums leave the lanes.
        begins_learning, ends_sums, next_ends_word = Signal(), Signal(), Signal()
        m.d.comb += [
            self.current.eq(current),
            next_ends_word.eq(Mux(ends_word, single, index == before_last)),
            may_go.eq((~begins_learning | self.word_ready) & (~ends_sums | self.chain_free)),
            go.eq(self.running & may_go),
            last_item.eq(ends_word & last_word),
            ends_pass.eq(go & last_item),
            load.eq(~self.running | (may_go & last_item)),
            self.taken.eq(self.may_start & load),
            self.passes.ready.eq(self.taken),
        ]
        m.d.sync += last_class.eq(self.classes - 1)
        with m.If(go):
            m.d.sync += [
                index.eq(index + 1),
                number.eq(number + 1),
                first.eq(ends_word),
                begins_learning.eq(ends_word & self.learns),
                ends_word.eq(next_ends_word),
                ends_sums.eq(next_ends_word & self.posts),
            ]
            # Entries of the local read-out come before those of the feedback matrix.
            with m.If(is_feedback & (number[: len(last_class)] == last_class)):
                m.d.sync += [number.eq(0), local.eq(0)]
            with m.If(ends_word):
                m.d.sync += [index.eq(0), word.eq(word + 1), number.eq(0), local.eq(has_local)]
                m.d.sync += last_word.eq(word == words_before_last)
            with m.If(ends_word):
                m.d.sync += [base.eq(begin + stride), begin.eq(begin + stride)]
            with m.Elif(is_feedback):
                m.d.sync += base.eq(base + 1)
            with m.Elif(is_local):
                m.d.sync += base.eq(base + entries)
        with m.If(ends_pass):
            m.d.sync += self.running.eq(0)
        waiting = self.passes.p
        waiting_words = Mux(waiting.kind == Kind.LOCAL, self.classes, waiting.settings.words)
        waiting_local = waiting.settings.local_shift != 0
        m.d.comb += next_entries.eq(Mux(waiting_local, self.classes << 1, self.classes))
        posts = Signal()
        with m.Switch(waiting.kind):
            with m.Case(Kind.INPUT, Kind.FIRE, Kind.SPIKES, Kind.FEEDBACK):
                m.d.comb += posts.eq(1)
        with m.If((waiting.kind == Kind.FEEDBACK) | (waiting.kind == Kind.LOCAL)):
            m.d.comb += first_base.eq(waiting.settings.feedback_base)
        with m.Else():
            m.d.comb += first_base.eq(waiting.settings.weight_base)
        with m.If(self.taken):
            m.d.sync += self.running.eq(1)
        # Until it may start its settings are taken in every cycle: that it may is known late.
        with m.If(load):
            m.d.sync += [
                current.eq(waiting),
                before_last.eq(self.items - 2),
                single.eq(self.items == 1),
                first.eq(1),
                begins_learning.eq(is_learn(waiting.kind)),
                ends_word.eq(self.items == 1),
                ends_sums.eq((self.items == 1) & posts),
                words_before_last.eq(waiting_words - 2),
                last_word.eq(waiting_words == 1),
                self.posts.eq(posts),
                index.eq(0),
                word.eq(0),
                number.eq(0),
                local.eq(waiting_local),
                has_local.eq(waiting_local),
                is_feedback.eq(waiting.kind == Kind.FEEDBACK),
                is_local.eq(waiting.kind == Kind.LOCAL),
                is_fire.eq(waiting.kind == Kind.FIRE),
                self.learns.eq(is_learn(waiting.kind)),
                entries.eq(next_entries),
                stride.eq(waiting.settings.rows),
                base.eq(first_base),
                begin.eq(first_base),
            ]
            with m.Switch(waiting.kind):
                with m.Case(Kind.FEEDBACK):
                    m.d.sync += stride.eq(next_entries)
                with m.Case(Kind.LOCAL):
                    m.d.sync += stride.eq(1)

        item = self.item
        listed = ~is_feedback & ~is_local & ~is_fire
        m.d.comb += [
            item.valid.eq(go),
            item.kind.eq(current.kind),
            item.read_out.eq(current.read_out),
            item.local.eq(is_feedback & local),
            item.layer.eq(current.layer),
            item.step.eq(current.step),
            item.first.eq(first),
            item.last.eq(ends_word),
            item.bias.eq(listed & ends_word),
            item.first_word.eq(word == 0),
            item.last_word.eq(last_word),
            item.base.eq(base),
            item.bias_row.eq(settings.rows - 1),
            item.index.eq(number),
            item.word.eq(Mux(is_local, index, word)),
            item.word_base.eq(settings.word_base),
            item.below_base.eq(current.below_base),
            item.valid_lanes.eq(Mux(last_word, settings.tail, self._limits.lanes)),
            item.feedback_shift.eq(Mux(local, settings.local_shift, settings.feedback_shift)),
        ]
        return m
