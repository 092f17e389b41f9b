"""Schedule: the passes of a sample, in order."""

from amaranth import Array, Module, Mux, Signal
from amaranth.hdl import ValueLike
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from opzo.hw.passes import PASS, Kind
from opzo.hw.record import record
from opzo.hw.registers import CONFIG, LAYERS
from opzo.spec.formats import HISTORY_STEPS
from opzo.spec.network import MAX_HIDDEN, Input, Rule
from opzo.spec.registers import READOUT_LAYER

SLOTS = 3 * MAX_HIDDEN + 1
"""Passes of a macro step at most: fire layer 1, integrate layers 2 and 3, read out, local read-out and feedback of each
of three layers."""
READ_OUT_SLOT = MAX_HIDDEN
LOCAL_SLOT = MAX_HIDDEN + 1


class Schedule(wiring.Component):
    """Emit the passes of one run (``docs/machine.md``, Schedule).

    A candidate a cycle, and one more for a pass: slots that are empty in a macro step cost a cycle, hidden behind the
    pass that runs meanwhile.
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
            frozen.eq(self.config.rule == Rule.READOUT),
            frame.eq(self.config.input == Input.FRAME),
            feedback.eq(train & ~frozen),
            free.eq(~found),
        ]
        # A pass that was found waits here: the search depends neither on when the runner takes one nor, but for what
        # is found, on whether there is one.
        with m.If(self.passes.ready):
            m.d.sync += self.passes.valid.eq(0)
        with m.If(found & (~self.passes.valid | self.passes.ready)):
            m.d.sync += [self.passes.p.eq(next_pass), self.passes.valid.eq(1), found.eq(0)]

        # The candidate of this cycle: slot's layer, and its time step if that exists.
        is_late = slot >= LOCAL_SLOT
        late = Signal.like(slot)
        is_local, is_feedback = is_late & ~late[0], is_late & late[0]
        m.d.comb += late.eq(slot - LOCAL_SLOT)
        chosen = record(PASS, "chosen")
        offset = Signal.like(macro)
        layer = Signal(range(MAX_HIDDEN + 1))
        enabled = Signal()
        step = Signal.like(macro)
        with m.If(is_feedback):
            m.d.comb += [
                offset.eq(depth + 1),
                layer.eq(late >> 1),
                enabled.eq(feedback & (layer < depth)),
            ]
        with m.Elif(is_local):
            m.d.comb += [
                layer.eq(late >> 1),
                offset.eq(layer + 1),
                enabled.eq(feedback & (layer < depth) & (chosen.settings.local_shift != 0)),
            ]
        with m.Elif(slot == READ_OUT_SLOT):
            m.d.comb += [offset.eq(depth), layer.eq(READOUT_LAYER), enabled.eq(1)]
        with m.Else():
            m.d.comb += [
                layer.eq(slot),
                offset.eq(slot),
                enabled.eq(layer < depth),
            ]
        m.d.comb += step.eq(macro - offset)
        exists = enabled & (macro >= offset) & (step < steps)

        m.d.comb += [
            chosen.layer.eq(layer),
            chosen.read_out.eq(layer == READOUT_LAYER),
            chosen.below.eq(Mux(layer == READOUT_LAYER, depth - 1, layer - 1)),
            chosen.below_base.eq(Array(self.layers[n].word_base for n in range(MAX_HIDDEN))[chosen.below]),
            chosen.step.eq(step),
            chosen.settings.eq(Array(self.layers[n] for n in range(MAX_HIDDEN + 1))[layer]),
        ]

        def emit(exists: ValueLike) -> None:
            m.d.sync += [next_pass.eq(chosen), found.eq(exists)]

        learning = Signal(range(MAX_HIDDEN + 1))
        with m.FSM():
            with m.State("IDLE"):
                m.d.sync += [macro.eq(0), slot.eq(0), train.eq(self.train)]
                with m.If(self.start):
                    m.next = "STEP"
                    with m.If(frame):
                        m.next = "INPUT"
            with m.State("INPUT"):
                m.d.comb += chosen.kind.eq(Kind.INPUT)
                with m.If(free):
                    emit(1)
                    m.next = "STEP"
            with m.State("STEP"):
                first = Mux(frame, Kind.FIRE.value, Kind.INPUT.value)
                m.d.comb += chosen.kind.eq(Mux(slot == 0, first, Kind.SPIKES.value))
                with m.If(is_late):
                    m.d.comb += chosen.kind.eq(Mux(is_local, Kind.LOCAL.value, Kind.FEEDBACK.value))
                final = (slot == READ_OUT_SLOT) & ~train & (step + 1 == steps)
                m.d.comb += chosen.last.eq(final)
                with m.If(free):
                    emit(exists)
                    m.d.sync += slot.eq(slot + 1)
                    with m.If(slot == SLOTS - 1):
                        m.d.sync += [slot.eq(0), macro.eq(macro + 1)]
                    with m.If(exists & final):
                        m.next = "IDLE"
                    with m.Elif(train & (macro == steps + depth) & (slot == SLOTS - 1)):
                        m.d.sync += learning.eq(depth)
                        m.next = "LEARN"
            with m.State("LEARN"):
                # learning counts down: depth is the read-out, below it the hidden layers.
                m.d.comb += [
                    layer.eq(Mux(learning == depth, READOUT_LAYER, learning)),
                    chosen.kind.eq(Mux(learning == 0, Kind.LEARN_INPUT.value, Kind.LEARN_SPIKES.value)),
                    chosen.step.eq(0),
                    chosen.last.eq(frozen | (learning == 0)),
                ]
                with m.If(free):
                    emit(1)
                    m.d.sync += learning.eq(learning - 1)
                    with m.If(chosen.last):
                        m.next = "IDLE"
        return m
