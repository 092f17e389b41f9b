"""What is assumed, claimed and known of one row of the memory while the sequencer runs free passes."""

from typing import Any

from amaranth import Array, Cat, Mux, Signal, Value
from amaranth.lib import data
from open_sequencer import OpenSequencer
from proof import Proof
from streams import assume_held

from opzo.hw.decode import decode_rule
from opzo.hw.registers import CONFIG, LAYER
from opzo.hw.schedule.passes import Kind, is_learn, pass_layout
from opzo.hw.timing import QUIET_CYCLES, RESULT
from opzo.spec.formats import HISTORY_STEPS
from opzo.spec.geometry import CELL

WORDS, WORD_ROWS = 4, 4
"""Words of a layer, rows of a word, at most."""


class Rows:
    """One row, which the solver chooses, and all ops that read or update it."""

    def __init__(self, opened: OpenSequencer) -> None:
        self.opened, self.limits, unit = opened, opened.limits, opened.unit
        self.proof = proof = Proof(unit, free=opened.free)
        self.inside, self.op, self.offered, self.start = proof.inside, unit.op, opened.passes.p, unit.run.start
        self.taken, self.running = self.inside["runner.start__taken"], self.inside["runner.running"]
        self.current = data.View(pass_layout(self.limits), self.inside["runner.current"])
        runner = opened.runner
        self.at = data.View(runner._position, self.inside["runner.at"])
        self.plan = data.View(runner._plan, self.inside["runner.plan"])
        self.config = unit.run.config
        self.from_loss = decode_rule(self.config.rule).from_loss
        # Row of the memory, and whose it is.
        self.address = proof.constant(range(self.limits.rows), "address")
        self.owner = proof.constant(range(self.limits.layers + 1), "owner")
        self.owns_entries = proof.constant(1, "owns_entries")
        self._assume_settings()
        self._assume_order()
        self._assume_errors()
        self._follow_row()
        self._know_gate()
        self._know_runner()
        self._know_ages()
        self._know_chain()

    def named(self, name: str, shape: Any, value: Any) -> Signal:
        signal = Signal(shape, name=name)
        self.proof.m.d.comb += signal.eq(value)
        return signal

    def entries(self, each: data.View) -> Value:
        """Feedback entries of a word."""
        classes = self.config.classes[:2]
        return classes + Mux(each.settings.local_shift != 0, classes, 0) + Mux(each.intermediate, classes, 0)

    def updates_weights(self, each: data.View) -> Value:
        """Whether a pass updates the weights of its layer."""
        return (is_learn(each.kind) & ~each.windows) | (each.kind == Kind.APPLY)

    def contract(self, each: data.View) -> Value:
        """Settings of a pass: its layer exists, and its rows, which may include the chosen one, are its own."""
        settings, limits = each.settings, self.limits
        weights = settings.all_words[:3] * settings.rows[:4]
        of_entries = settings.block_words[:3] * self.entries(each)[:4]
        begin, entries_begin = settings.weight_base, settings.feedback_base
        in_weights = (begin <= self.address) & (self.address < begin[:5] + weights)
        in_entries = (entries_begin <= self.address) & (self.address < entries_begin[:5] + of_entries)
        of_hidden = (each.kind == Kind.FEEDBACK) | (each.kind == Kind.LOCAL)
        convolves = (each.kind == Kind.APPLY) | each.windows
        return (
            (each.layer <= limits.layers)
            & (each.below < limits.layers)
            & (~of_hidden | ((each.layer < limits.layers) & ~each.windows))
            & ((settings.words >= 1) & (settings.words <= settings.all_words) & (settings.all_words <= WORDS))
            & ((settings.rows >= 1) & (settings.rows <= WORD_ROWS))
            & ((settings.block_words >= 1) & (settings.block_words <= WORDS))
            & ((begin < limits.rows) & (entries_begin < limits.rows))
            & (begin[:5] + weights <= limits.rows)
            & (entries_begin[:5] + of_entries <= limits.rows)
            & (~in_weights | (~self.owns_entries & (each.layer == self.owner)))
            & (~in_entries | (self.owns_entries & (each.layer == self.owner)))
            & (~convolves if not limits.gradients else (each.kind != Kind.APPLY) | ~each.windows)
        )

    def _assume_settings(self) -> None:
        """What the host's settings say, constant for as long as passes come."""
        proof = self.proof
        config = proof.constant(CONFIG, "constant_config")
        proof.assume("config", self.config.as_value() == config.as_value())
        proof.assume("classes", (config.classes >= 2) & (config.classes <= self.limits.classes))
        proof.assume("owner", (self.owner <= self.limits.layers) & (~self.owns_entries | (self.owner < 2)))
        assume_held(proof, "passes", self.opened.passes)
        proof.assume("contract", self.contract(self.offered))

    def _assume_order(self) -> None:
        """Order of the passes, as `test_order_proofs` proves it of the schedule and of the run control."""
        m, offered, current = self.proof.m, self.offered, self.current
        self.begun, self.updated = Signal(name="begun"), Signal(name="updated")
        self.readouts = Signal(range(HISTORY_STEPS + 2), name="readouts")
        of_owner = offered.layer == self.owner
        feedback, reads_out = offered.kind == Kind.FEEDBACK, (offered.kind == Kind.SPIKES) & offered.readout
        after_feedback = self.running & (current.kind == Kind.FEEDBACK) & (offered.layer == current.layer)
        order = (
            self.begun
            & ~(self.updated & of_owner)
            & (~feedback | (self.readouts <= offered.step + 2))
            & (~reads_out | (self.readouts < HISTORY_STEPS))
            & (~after_feedback | (feedback & (offered.step > current.step)))
        )
        self.proof.assume("order", ~self.opened.passes.valid | order)
        with m.If(self.taken):
            m.d.sync += [
                self.begun.eq(~offered.last),
                self.updated.eq(self.updated | (self.updates_weights(offered) & of_owner)),
                self.readouts.eq(self.readouts + reads_out),
            ]
        self.ended = Signal(init=1, name="ended_before")
        self.proof.assume("start", ~self.start | self.ended | self.opened.unit.done)
        with m.If(self.start):
            m.d.sync += [self.begun.eq(1), self.updated.eq(0), self.readouts.eq(0), self.ended.eq(0)]
        with m.Elif(self.opened.unit.done):
            m.d.sync += self.ended.eq(1)

    def _assume_errors(self) -> None:
        """Errors of a step are complete three cycles or more after its readout has left the chain."""
        proof, current = self.proof, self.current
        self.chain_free, self.leaving = (self.inside[f"word_gate.{name}"] for name in ("chain_free", "leaving"))
        self.reads_out = self.running & (current.kind == Kind.SPIKES) & current.readout
        self.of_readout = Signal(name="of_readout")
        with proof.m.If(self.op.valid & self.op.last & self.inside["runner.words__sums"]):
            proof.m.d.sync += self.of_readout.eq(self.reads_out)
        self.under_way = self.named("under_way", 1, self.reads_out | (~self.chain_free & self.of_readout))
        recent = self.named(
            "recent", 1, self.under_way | proof.before(self.under_way) | proof.before(self.under_way, 2)
        )
        steps = self.inside["progress.progress__error_steps"]
        proof.assume("errors", self.start | (steps + recent <= self.readouts))

    def _follow_row(self) -> None:
        """Which ops name the row. A list has each row once; one that is learned by parts, once in a part."""
        proof, m, op, current = self.proof, self.proof.m, self.op, self.current
        has_row = is_learn(op.kind) | (op.kind == Kind.INPUT) | (op.kind == Kind.SPIKES)
        windows = current.windows if self.limits.gradients else 0
        if self.limits.gradients:
            window = self.opened.free[2].rows.p
            proof.assume("final", ~window.final | window.bias)
        listed = proof.any(range(WORD_ROWS), "listed")
        parts = CELL if self.limits.gradients else 1
        self.places = []
        for number in range(parts * WORD_ROWS):
            held = Signal(len(op.index), name=f"place_{number}")
            with m.If(self.taken):
                m.d.sync += held.eq(proof.any(len(op.index), f"any_place_{number}"))
            self.places.append(held)
        place = self.place_of(op.index, listed)
        proof.assume(
            "listed",
            ~op.valid | ~has_row | op.bias | ((listed + 1 < current.settings.rows) & (windows | (op.index == place))),
        )
        row = Mux(op.bias, op.bias_row, Mux(has_row, listed, 0))
        here = (op.base + row)[: len(self.address)] == self.address
        has_entry = op.local | ~self.from_loss
        is_entry = (op.kind == Kind.FEEDBACK) & has_entry
        self.updates = self.named("updates", 1, op.valid & here & (self.updates_weights(current) | is_entry))
        reads = op.valid & here & (op.kind != Kind.FIRE) & ((op.kind != Kind.FEEDBACK) | has_entry)
        # Cycles since the last update, and whether, and at which index, the running pass made it.
        self.age = Signal(range(RESULT + 1), name="age", init=RESULT)
        self.this, self.index = Signal(name="this"), Signal.like(op.index, name="updated_index")
        m.d.sync += self.age.eq(Mux(self.updates, 1, Mux(self.age == RESULT, self.age, self.age + 1)))
        with m.If(self.updates):
            m.d.sync += [self.this.eq(1), self.index.eq(op.index)]
        with m.If(self.taken):
            m.d.sync += self.this.eq(0)
        self.written = self.age == RESULT
        proof.claim("rows_are_written", ~reads | self.written)
        for name, kind in (("learn", is_learn(op.kind)), ("feedback", op.kind == Kind.FEEDBACK)):
            proof.cover(name, self.updates & (self.owner == 1) & op.last & op.last_word & kind)
        if self.limits.gradients:
            proof.cover("apply", self.updates & (op.kind == Kind.APPLY) & self.plan.single)

    def part(self, index: Value) -> Value:
        """Part of the list in which an index is."""
        if not self.limits.gradients:
            return index[:0]
        ends = [self.opened.unit.rows.part_ends[part] for part in range(CELL - 1)]
        return Mux(self.plan.parts, sum(end <= index for end in ends), 0)

    def place_of(self, index: Value, row: Value) -> Value:
        """Index at which the part of ``index`` has ``row``."""
        number = row[:2] if not self.limits.gradients else Cat(row[:2], self.part(index))
        return Array(self.places)[number]

    def _know_gate(self) -> None:
        """The gate has looked at the pass that is offered."""
        proof, offered = self.proof, self.offered
        self.may = self.inside["pass_gate.start__may_start"]
        settled, ops = self.inside["pass_gate.settled"], self.inside["pass_gate.start__ops"]
        same = self.inside["pass_gate.waiting_pass"] == offered.as_value()
        local = self.inside["pass_gate.local"] == (offered.settings.local_shift != 0)
        proof.lemma("settled", ~settled | (self.opened.passes.valid & same & local & ~proof.before(self.taken)))
        proof.lemma("may_start", ~self.may | settled)
        for kind, expected in self.fixed_ops(offered).items():
            proof.lemma(f"ops_{kind.name}", ~self.may | (offered.kind != kind) | (ops == expected))

    def fixed_ops(self, each: data.View) -> dict[Kind, Value]:
        """Ops of a word in passes that read no list."""
        classes = self.config.classes[:2]
        matrix = Mux(self.from_loss, 1, classes)
        if self.limits.gradients:
            matrix = matrix + Mux(each.intermediate & ~self.from_loss, classes, 0)
        return {
            Kind.FEEDBACK: matrix + Mux(each.settings.local_shift != 0, classes, 0),
            Kind.LOCAL: each.settings.block_words,
            Kind.APPLY: each.settings.rows,
        }

    def _know_runner(self) -> None:
        """The runner is where its pass, word and index say."""
        inside, at, plan, current = self.inside, self.at, self.plan, self.current
        kind, settings, index = current.kind, current.settings, at.index
        is_feedback, is_local, is_apply = kind == Kind.FEEDBACK, kind == Kind.LOCAL, kind == Kind.APPLY
        learns = is_learn(kind)
        sums = (kind == Kind.INPUT) | (kind == Kind.FIRE) | (kind == Kind.SPIKES) | is_feedback
        entries = self.entries(current)
        has_local = settings.local_shift != 0
        words = Mux(
            is_local,
            self.config.classes,
            Mux(is_feedback, settings.block_words, Mux(is_apply, settings.words, settings.all_words)),
        )
        stride = Mux(is_feedback, entries, Mux(is_local, 1, settings.rows))[:4]
        last = self.named("last_index", len(index), plan.before_last + 1)
        windows = current.windows if self.limits.gradients else 0
        word = at.word[:3]
        if self.limits.gradients:
            part = self.inside["runner.walk.place"]
            place = data.View(self.walk_place(), part).part
            word = Mux(windows, place[:3], word)
            self.if_running("part", ~windows | (place < settings.words))
        first = Mux(is_feedback | is_local, settings.feedback_base, settings.weight_base)[:5]
        offset = Mux(is_feedback | is_apply, index[:4], Mux(is_local, index[:3] * entries[:4], 0))
        self.if_running("contract", self.contract(current))
        self.if_running(
            "kinds",
            (plan.is_feedback == is_feedback)
            & (plan.is_local == is_local)
            & (plan.is_fire == (kind == Kind.FIRE))
            & (plan.is_apply == is_apply)
            & (inside["runner.words__learns"] == learns)
            & (inside["runner.words__sums"] == sums),
        )
        self.if_running(
            "plan",
            (plan.stride == stride)
            & (plan.entries == entries)
            & (plan.words_before_last == (words - 2)[: len(plan.words_before_last)])
            & (plan.has_local == has_local)
            & (plan.single == (last == 0)),
        )
        self.if_running("last_class", inside["runner._last_class"] == (self.config.classes - 1)[:7])
        self.if_running("word", windows | ((at.word < words) & (at.last_word == (at.word == words - 1))))
        self.if_running("begin", at.begin == (first + word * stride)[: len(at.begin)])
        self.if_running("base", at.base == (at.begin + offset)[: len(at.base)])
        self.if_running("index", windows | ((index <= last) & (at.ends_word == (index == last))))
        for each, expected in self.fixed_ops(current).items():
            self.if_running(f"fixed_{each.name}", (kind != each) | (last + 1 == expected))
        self.if_running("local", ~is_feedback | ~at.local | has_local)
        self.if_running("number", windows | is_feedback | (at.number == index))
        begins = (at.first == (index == 0)) & (at.begins_learning == ((index == 0) & learns))
        self.if_running("first", windows | (begins & (at.ends_sums == (at.ends_word & sums))))
        if self.limits.gradients:
            self._know_parts(index)
        # The row was updated in an earlier word, or earlier in this one.
        mine, update = current.layer == self.owner, self.updates_weights(current)
        behind = (self.address - at.begin)[:5]
        before = (self.index < index) & (behind + 1 < settings.rows) & (self.place_of(self.index, behind) == self.index)
        of_this = Mux(self.owns_entries, is_feedback, update)
        self.if_running("updated", ~self.this | (mine & of_this))
        self.if_running("updated_entry", ~self.this | ~(is_feedback | is_apply) | (self.address < at.base))
        self.if_running("updated_row", ~self.this | ~learns | (self.address < at.begin) | before)

    def walk_place(self) -> data.Layout:
        """Layout of the register ``place`` of a `BlockWalk`."""
        count = LAYER["block_words"].shape
        return data.StructLayout(
            {
                "x": LAYER["width"].shape,
                "y": LAYER["height"].shape,
                "part": LAYER["words"].shape,
                "row": count,
                "column": count,
            }
        )

    def _know_parts(self, index: Value) -> None:
        """A part begins only once the rows of the part before are written."""
        proof, ends = self.proof, [self.opened.unit.rows.part_ends[part] for part in range(CELL - 1)]
        value = Value.cast(self.opened.unit.rows.part_ends)
        last_ends = [Signal.like(end, name=f"last_end_{part}", init=1) for part, end in enumerate(ends)]
        for part, (end, now) in enumerate(zip(last_ends, ends, strict=True)):
            proof.m.d.sync += end.eq(now)
            before = self.inside[f"runner.before_part_{part + 1}"]
            proof.lemma(f"before_part_{part}", before == (end - 1)[: len(before)])
        proof.assume("part_ends", ~(self.running | self.taken) | (value == Cat(last_ends)))
        from_zero = sum(end == 0 for end in last_ends) != 0
        proof.lemma("from_zero", self.inside["runner.from_zero"] == from_zero)
        at_end = sum(end == index for end in ends) != 0
        self.if_running("begins", ~self.plan.parts | (self.inside["runner.begins"] == at_end))
        parts = (self.current.kind == Kind.LEARN_SPIKES) & ~self.current.windows & self.current.settings.pool
        self.if_running("parts", self.plan.parts == parts)
        in_word = self.this & ~(self.address < self.at.begin) & is_learn(self.current.kind)
        same = self.part(self.index) == self.part(index)
        self.if_running("written_parts", ~in_word | ~self.plan.parts | same | at_end | self.written)

    def _know_ages(self) -> None:
        """What the counters of the gates mean for the row."""
        proof, current, inside = self.proof, self.current, self.inside
        mine = current.layer == self.owner
        since_op = inside["progress.since_op"]
        since = Array(inside[f"progress.since_feedback_{n}"] for n in range(self.limits.layers))[self.owner[0]]
        self.since = self.named("since_owner", len(since_op), since)
        written, kind = self.written, current.kind
        proof.lemma("ranges", (self.age >= 1) & (self.age <= RESULT) & (self.readouts <= HISTORY_STEPS))
        proof.lemma("age_of_ops", written | (self.age > since_op))
        proof.lemma("age_of_feedback", written | ~self.owns_entries | (self.age > self.since))
        proof.lemma("age_of_rows", written | self.owns_entries | self.updated)
        self.if_running("pass_updates", ~self.updates_weights(current) | ~mine | self.updated)
        self.if_running("other_rows", self.owns_entries | ~mine | written | self.this)
        uses = self.owns_entries & mine & ((kind == Kind.FEEDBACK) | (kind == Kind.LOCAL))
        self.if_running("other_entries", ~uses | written | ((kind == Kind.FEEDBACK) & self.this))
        quiet = ~self.begun & ~self.running & (since_op == QUIET_CYCLES)
        proof.lemma("runs", (self.begun == ~inside["ended"]) & (~self.ended | quiet))

    def _know_chain(self) -> None:
        """A pass of FEEDBACK does not wait for the chain until its first entries are written."""
        proof, current, offered, size = self.proof, self.current, self.offered, self.limits.lanes_per_group
        self.if_running("reads_out", self.inside["word_gate.reads_out"] == self.reads_out)
        proof.lemma("chain", self.chain_free | ((self.leaving >= 1) & (self.of_readout | (self.leaving < size))))
        feedback = current.kind == Kind.FEEDBACK
        updates = feedback & (current.layer == self.owner) & self.owns_entries
        one = self.plan.before_last.all()
        has_begun = (self.at.index != 0) | (self.at.word != 0)
        wait = Mux(self.chain_free, 0, self.leaving)
        just_left = proof.before(self.under_way) & ~self.under_way
        proof.lemma("just_left", ~just_left | self.chain_free)
        read_out = self.under_way | just_left
        self.if_running("wait", ~updates | ~has_begun | (self.since + wait <= size + 1) | read_out)
        self.if_running("begins_at_once", ~updates | has_begun | proof.before(self.taken) | one)
        self.if_running("few_readouts", ~feedback | (self.readouts <= current.step + 2))
        reads = self.owns_entries & (offered.layer == self.owner)
        reads &= (offered.kind == Kind.FEEDBACK) | (offered.kind == Kind.LOCAL)
        free = self.written & (~self.running | ~updates | one)
        proof.lemma("next_entries", ~self.may | ~reads | free)

    def if_running(self, name: str, condition: Value) -> None:
        """Lemma about the running pass."""
        self.proof.lemma(name, ~self.running | condition)


def rows(opened: OpenSequencer) -> Proof:
    return Rows(opened).proof
