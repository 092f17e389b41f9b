"""Schedule: the passes of a sample, in order."""

from amaranth import Array, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from opzo.hw.decode import decode_input, decode_rule
from opzo.hw.lib.record import record
from opzo.hw.registers import CONFIG, LAYERS
from opzo.hw.schedule.passes import PASS, Kind
from opzo.spec.formats import HISTORY_STEPS
from opzo.spec.network import MAX_HIDDEN
from opzo.spec.registers import READOUT_LAYER

SLOTS = 3 * MAX_HIDDEN + 1
"""Passes of a macro step at most: fire layer 1, integrate layers 2 and 3, read out, local read-out and feedback of each
of three layers."""
READ_OUT_SLOT = MAX_HIDDEN
LOCAL_SLOT = MAX_HIDDEN + 1
CANDIDATE = data.StructLayout(
    {
        "valid": 1,
        "kind": Kind,
        "layer": range(MAX_HIDDEN + 1),
        "enabled": 1,
        "begun": 1,
        "step": range(HISTORY_STEPS + MAX_HIDDEN + 2),
        "local": 1,
        "last": 1,
    }
)
"""A slot of a macro step. It is a pass if it is ``enabled``, its layer has ``begun``, ``step`` is one of the run's and,
where it is ``local``, the layer has a local read-out."""


class Schedule(wiring.Component):
    """Emit the passes of one run (``docs/machine.md``, Schedule).

    A candidate a cycle, looked at in two stages, and one cycle more for a pass: slots that are empty in a macro step
    cost a cycle, hidden behind the pass that runs meanwhile.
    Golden twin: the loops of ``opzo.sim.golden.run``.

    Members
    -------
    config, layers : In
        Settings; constant during a run, ``steps`` those of the run.
    start, train : In(1)
        Strobe, and whether the run is learned from.
    passes : Out(stream of PASS)
        ``last`` marks the last one.
    """

    config: In(CONFIG)
    layers: In(LAYERS)
    start: In(1)
    train: In(1)
    passes: Out(stream.Signature(PASS))

    def elaborate(self, platform: object) -> Module:
        m = Module()
        depth, steps = self.config.hidden_layers, self.config.steps
        frozen, frame = Signal(), Signal()
        feedback = Signal()
        train = Signal()
        macro = Signal(range(HISTORY_STEPS + MAX_HIDDEN + 2))
        slot = Signal(range(SLOTS))
        free = Signal()
        found, next_pass = Signal(), record(PASS, "next_pass", reset_less=True)
        m.d.comb += [
            frozen.eq(~decode_rule(self.config.rule).learns_hidden),
            frame.eq(~decode_input(self.config.input).events),
            feedback.eq(train & ~frozen),
            free.eq(~found),
        ]
        # A pass that was found waits here: the search depends neither on when the runner takes one nor, but for what
        # is found, on whether there is one.
        with m.If(self.passes.ready):
            m.d.sync += self.passes.valid.eq(0)
        with m.If(found & ~self.passes.valid):
            m.d.sync += [self.passes.p.eq(next_pass), self.passes.valid.eq(1), found.eq(0)]

        # The candidate of this cycle: slot's layer, and its time step if that exists.
        late = Signal.like(slot)
        is_late, is_local, is_feedback = Signal(), Signal(), Signal()
        m.d.comb += [
            late.eq(slot - LOCAL_SLOT),
            is_late.eq(slot >= LOCAL_SLOT),
            is_local.eq(is_late & ~late[0]),
            is_feedback.eq(is_late & late[0]),
        ]
        candidate, taken = record(CANDIDATE, "candidate"), record(CANDIDATE, "taken")
        offset = Signal.like(macro)
        with m.If(is_late):
            m.d.comb += [
                candidate.layer.eq(late >> 1),
                candidate.enabled.eq(feedback & (candidate.layer < depth)),
                candidate.local.eq(is_local),
                offset.eq(Mux(is_local, candidate.layer, depth) + 1),
            ]
        with m.Elif(slot == READ_OUT_SLOT):
            m.d.comb += [offset.eq(depth), candidate.layer.eq(READOUT_LAYER), candidate.enabled.eq(1)]
        with m.Else():
            m.d.comb += [
                candidate.layer.eq(slot),
                offset.eq(slot),
                candidate.enabled.eq(candidate.layer < depth),
            ]
        m.d.comb += [candidate.step.eq(macro - offset), candidate.begun.eq(macro >= offset)]

        # The last macro step; known long before the slot that asks for it.
        last_macro, is_last_macro = Signal.like(macro), Signal()
        m.d.sync += [last_macro.eq(steps + depth - ~train), is_last_macro.eq(macro == last_macro)]
        learning, learns_read_out = Signal(range(MAX_HIDDEN + 1)), Signal()
        with m.FSM():
            with m.State("IDLE"):
                m.d.sync += [macro.eq(0), slot.eq(0), train.eq(self.train)]
                with m.If(self.start):
                    m.next = "STEP"
                    with m.If(frame):
                        m.next = "INPUT"
            with m.State("INPUT"):
                # Of layer 1 and step 0, like the first slot.
                m.d.comb += [candidate.valid.eq(1), candidate.kind.eq(Kind.INPUT)]
                with m.If(free):
                    m.next = "STEP"
            with m.State("STEP"):
                first = Mux(frame, Kind.FIRE.value, Kind.INPUT.value)
                m.d.comb += [candidate.valid.eq(1), candidate.kind.eq(Mux(slot == 0, first, Kind.SPIKES.value))]
                with m.If(is_late):
                    m.d.comb += candidate.kind.eq(Mux(is_local, Kind.LOCAL.value, Kind.FEEDBACK.value))
                # The read-out integrates its last step.
                final = (slot == READ_OUT_SLOT) & ~train & is_last_macro
                m.d.comb += candidate.last.eq(final)
                with m.If(free):
                    m.d.sync += slot.eq(slot + 1)
                    with m.If(slot == SLOTS - 1):
                        m.d.sync += [slot.eq(0), macro.eq(macro + 1)]
                    with m.If(final):
                        m.next = "IDLE"
                    with m.Elif(train & is_last_macro & (slot == SLOTS - 1)):
                        m.d.sync += [learning.eq(depth), learns_read_out.eq(1)]
                        m.next = "LEARN"
            with m.State("LEARN"):
                # learning counts down: depth is the read-out, below it the hidden layers.
                m.d.comb += [
                    candidate.valid.eq(1),
                    candidate.enabled.eq(1),
                    candidate.begun.eq(1),
                    candidate.local.eq(0),
                    candidate.layer.eq(Mux(learns_read_out, READOUT_LAYER, learning)),
                    candidate.kind.eq(Mux(learning == 0, Kind.LEARN_INPUT.value, Kind.LEARN_SPIKES.value)),
                    candidate.step.eq(0),
                    candidate.last.eq(frozen | (learning == 0)),
                ]
                with m.If(free):
                    m.d.sync += [learning.eq(learning - 1), learns_read_out.eq(0)]
                    with m.If(candidate.last):
                        m.next = "IDLE"

        # In the next cycle its layer's settings are looked up, which tell whether there is such a pass.
        chosen = record(PASS, "chosen")
        m.d.comb += [
            chosen.kind.eq(taken.kind),
            chosen.layer.eq(taken.layer),
            chosen.read_out.eq(taken.layer == READOUT_LAYER),
            chosen.below.eq(Mux(taken.layer == READOUT_LAYER, depth - 1, taken.layer - 1)),
            chosen.below_base.eq(Array(self.layers[n].word_base for n in range(MAX_HIDDEN))[chosen.below]),
            chosen.step.eq(taken.step),
            chosen.last.eq(taken.last),
            chosen.settings.eq(Array(self.layers[n] for n in range(MAX_HIDDEN + 1))[taken.layer]),
        ]
        has_local = Array(self.layers[n].local_shift != 0 for n in range(MAX_HIDDEN + 1))[taken.layer]
        with m.If(free):
            m.d.sync += [
                taken.eq(candidate),
                next_pass.eq(chosen),
                found.eq(taken.valid & taken.enabled & taken.begun & (taken.step < steps) & (~taken.local | has_local)),
            ]
        return m
