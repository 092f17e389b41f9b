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
"""Most passes of a macro step: fire layer 1, integrate layers 2 and 3, read out, and local readout and feedback of each
of three layers."""
READOUT_SLOT = MAX_HIDDEN
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
"""A slot of a macro step. It is a pass if it is ``enabled``, its layer has ``begun``, the run has ``step`` and, for a
``local`` one, the layer has a local readout."""


class Schedule(wiring.Component):
    """Emit the passes of one run (``docs/machine.md``, Schedule).

    One candidate per cycle is examined, in two stages; a pass takes one more cycle. An empty slot of a macro step costs
    one cycle, hidden behind the running pass.
    Golden twin: the loops of ``opzo.sim.golden.run``.

    Members
    -------
    config, layers : In
        Settings, constant during a run; ``steps`` of the run.
    start, train : In(1)
        Strobe: the run begins; whether it is learned from.
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
        # A pass that was found waits here, so that the search does not depend on when the runner takes one.
        with m.If(self.passes.ready):
            m.d.sync += self.passes.valid.eq(0)
        with m.If(found & ~self.passes.valid):
            m.d.sync += [self.passes.p.eq(next_pass), self.passes.valid.eq(1), found.eq(0)]

        # The candidate of this cycle: layer of the slot, and its time step if that exists.
        slot_after = Signal.like(slot)
        after_readout, is_local, is_feedback = Signal(), Signal(), Signal()
        m.d.comb += [
            slot_after.eq(slot - LOCAL_SLOT),
            after_readout.eq(slot >= LOCAL_SLOT),
            is_local.eq(after_readout & ~slot_after[0]),
            is_feedback.eq(after_readout & slot_after[0]),
        ]
        candidate, taken = record(CANDIDATE, "candidate"), record(CANDIDATE, "taken")
        offset = Signal.like(macro)
        with m.If(after_readout):
            m.d.comb += [
                candidate.layer.eq(slot_after >> 1),
                candidate.enabled.eq(feedback & (candidate.layer < depth)),
                candidate.local.eq(is_local),
                offset.eq(Mux(is_local, candidate.layer, depth) + 1),
            ]
        with m.Elif(slot == READOUT_SLOT):
            m.d.comb += [offset.eq(depth), candidate.layer.eq(READOUT_LAYER), candidate.enabled.eq(1)]
        with m.Else():
            m.d.comb += [
                candidate.layer.eq(slot),
                offset.eq(slot),
                candidate.enabled.eq(candidate.layer < depth),
            ]
        m.d.comb += [candidate.step.eq(macro - offset), candidate.begun.eq(macro >= offset)]

        # The last macro step, known long before the slot that needs it.
        last_macro, is_last_macro = Signal.like(macro), Signal()
        m.d.sync += [last_macro.eq(steps + depth - ~train), is_last_macro.eq(macro == last_macro)]
        learning, learns_readout = Signal(range(MAX_HIDDEN + 1)), Signal()
        with m.FSM():
            with m.State("IDLE"):
                m.d.sync += [macro.eq(0), slot.eq(0), train.eq(self.train)]
                with m.If(self.start):
                    m.next = "STEP"
                    with m.If(frame):
                        m.next = "INPUT"
            with m.State("INPUT"):
                # Layer 1 and step 0, like the first slot.
                m.d.comb += [candidate.valid.eq(1), candidate.kind.eq(Kind.INPUT)]
                with m.If(free):
                    m.next = "STEP"
            with m.State("STEP"):
                first = Mux(frame, Kind.FIRE.value, Kind.INPUT.value)
                m.d.comb += [candidate.valid.eq(1), candidate.kind.eq(Mux(slot == 0, first, Kind.SPIKES.value))]
                with m.If(after_readout):
                    m.d.comb += candidate.kind.eq(Mux(is_local, Kind.LOCAL.value, Kind.FEEDBACK.value))
                # The last step of the readout.
                final = (slot == READOUT_SLOT) & ~train & is_last_macro
                m.d.comb += candidate.last.eq(final)
                with m.If(free):
                    m.d.sync += slot.eq(slot + 1)
                    with m.If(slot == SLOTS - 1):
                        m.d.sync += [slot.eq(0), macro.eq(macro + 1)]
                    with m.If(final):
                        m.next = "IDLE"
                    with m.Elif(train & is_last_macro & (slot == SLOTS - 1)):
                        m.d.sync += [learning.eq(depth), learns_readout.eq(1)]
                        m.next = "LEARN"
            with m.State("LEARN"):
                # ``learning`` counts down: ``depth`` is the readout, below it are the hidden layers.
                m.d.comb += [
                    candidate.valid.eq(1),
                    candidate.enabled.eq(1),
                    candidate.begun.eq(1),
                    candidate.local.eq(0),
                    candidate.layer.eq(Mux(learns_readout, READOUT_LAYER, learning)),
                    candidate.kind.eq(Mux(learning == 0, Kind.LEARN_INPUT.value, Kind.LEARN_SPIKES.value)),
                    candidate.step.eq(0),
                    candidate.last.eq(frozen | (learning == 0)),
                ]
                with m.If(free):
                    m.d.sync += [learning.eq(learning - 1), learns_readout.eq(0)]
                    with m.If(candidate.last):
                        m.next = "IDLE"

        # In the next cycle the settings of its layer decide whether there is such a pass.
        chosen = record(PASS, "chosen")
        m.d.comb += [
            chosen.kind.eq(taken.kind),
            chosen.layer.eq(taken.layer),
            chosen.readout.eq(taken.layer == READOUT_LAYER),
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
