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
"""Most passes of a macro step: fire layer 1, its local readout, integrate layers 2 and 3, read out, feedback of layer
1, local readout and feedback of layers 2 and 3."""
LOCAL_SLOT = 1
"""Local readout of layer 1: as far as possible from the readout, so that both do not wait for the error unit."""
READOUT_SLOT = MAX_HIDDEN + 1
FEEDBACK_SLOT = READOUT_SLOT + 1
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


class Slot(wiring.Component):
    """Layer, delay and conditions of a slot of a macro step. Combinational.

    Members
    -------
    number : In
        Number of the slot, 0 to SLOTS - 1.
    depth : In
        Hidden layers of the network.
    feedback : In(1)
        Whether the hidden layers learn in this run.
    layer : Out
        Layer of weights; READOUT_LAYER in slot READOUT_SLOT.
    offset : Out
        Macro steps by which the slot is behind the first slot.
    enabled : Out(1)
        Whether the network has the layer and, after the readout, whether its hidden layers learn.
    local, integrates : Out(1)
        Whether it is a local readout, and whether it integrates spikes. Of the others the first one fires layer 1, the
        rest are feedback.
    """

    number: In(range(SLOTS))
    depth: In(CONFIG["hidden_layers"].shape)
    feedback: In(1)
    layer: Out(range(MAX_HIDDEN + 1))
    offset: Out(range(HISTORY_STEPS + MAX_HIDDEN + 2))
    enabled: Out(1)
    local: Out(1)
    integrates: Out(1)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        number, depth = self.number, self.depth
        # Feedback of layer 1, then local readout and feedback of the others.
        number_after = Signal.like(number)
        m.d.comb += number_after.eq(number - FEEDBACK_SLOT)
        with m.If(number == 0):
            m.d.comb += self.enabled.eq(1)
        with m.Elif(number == LOCAL_SLOT):
            m.d.comb += [self.local.eq(1), self.offset.eq(1), self.enabled.eq(self.feedback)]
        with m.Elif(number < READOUT_SLOT):
            m.d.comb += [
                self.integrates.eq(1),
                self.layer.eq(number - 1),
                self.offset.eq(number - 1),
                self.enabled.eq(self.layer < depth),
            ]
        with m.Elif(number == READOUT_SLOT):
            m.d.comb += [self.integrates.eq(1), self.layer.eq(READOUT_LAYER), self.offset.eq(depth), self.enabled.eq(1)]
        with m.Else():
            m.d.comb += [
                self.local.eq(number_after[0]),
                self.layer.eq((number_after + 1) >> 1),
                self.offset.eq(Mux(self.local, self.layer, depth) + 1),
                self.enabled.eq(self.feedback & (self.layer < depth)),
            ]
        return m


def derive_pass(m: Module, chosen: data.View, candidate: data.View, config: data.View, layers: data.View) -> None:
    """Derive the pass ``chosen`` from a candidate and the settings of its layer; combinational."""
    readout = candidate.layer == READOUT_LAYER
    m.d.comb += [
        chosen.kind.eq(candidate.kind),
        chosen.layer.eq(candidate.layer),
        chosen.readout.eq(readout),
        chosen.below.eq(Mux(readout, config.hidden_layers - 1, candidate.layer - 1)),
        chosen.below_base.eq(Array(layers[n].word_base for n in range(MAX_HIDDEN))[chosen.below]),
        chosen.step.eq(candidate.step),
        chosen.last.eq(candidate.last),
        chosen.settings.eq(Array(layers[n] for n in range(MAX_HIDDEN + 1))[candidate.layer]),
    ]


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
        frozen, frame, feedback, train = Signal(), Signal(), Signal(), Signal()
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
        candidate, taken = record(CANDIDATE, "candidate"), record(CANDIDATE, "taken")
        m.submodules.place = place = Slot()
        m.d.comb += [
            place.number.eq(slot),
            place.depth.eq(depth),
            place.feedback.eq(feedback),
            candidate.layer.eq(place.layer),
            candidate.enabled.eq(place.enabled),
            candidate.local.eq(place.local),
            candidate.step.eq(macro - place.offset),
            candidate.begun.eq(macro >= place.offset),
        ]

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
                m.d.comb += [candidate.valid.eq(1), candidate.kind.eq(Kind.FEEDBACK)]
                with m.If(slot == 0):
                    m.d.comb += candidate.kind.eq(Mux(frame, Kind.FIRE.value, Kind.INPUT.value))
                with m.If(place.local):
                    m.d.comb += candidate.kind.eq(Kind.LOCAL)
                with m.If(place.integrates):
                    m.d.comb += candidate.kind.eq(Kind.SPIKES)
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
        derive_pass(m, chosen, taken, self.config, self.layers)
        has_local = Array(self.layers[n].local_shift != 0 for n in range(MAX_HIDDEN + 1))[taken.layer]
        with m.If(free):
            m.d.sync += [
                taken.eq(candidate),
                next_pass.eq(chosen),
                found.eq(taken.valid & taken.enabled & taken.begun & (taken.step < steps) & (~taken.local | has_local)),
            ]
        return m
