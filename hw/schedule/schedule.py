"""Schedule: the passes of a sample, in order."""

from amaranth import Array, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from opzo.hw.decode import decode_input, decode_rule
from opzo.hw.lib.record import record
from opzo.hw.registers import CONFIG, batch_full, layers_layout
from opzo.hw.schedule.passes import Kind, of_learning, pass_layout
from opzo.spec.formats import HISTORY_STEPS
from opzo.spec.limits import Limits

LOCAL_SLOT = 1
"""Local readout of layer 1: as far as possible from the readout, so that both do not wait for the error unit."""


def slots(limits: Limits) -> int:
    """Most passes of a macro step: fire layer 1, its local readout, integrate the other hidden layers, read out,
    feedback of layer 1, local readout and feedback of the other hidden layers. The readout is the last one in a device
    that only infers.
    """
    return 3 * limits.layers + 1 if limits.learning else readout_slot(limits) + 1


def readout_slot(limits: Limits) -> int:
    """Slot of the readout; the feedback of layer 1 is the next one."""
    return limits.layers + 1


def macro_steps(limits: Limits) -> range:
    """Shape of the number of a macro step."""
    return range(HISTORY_STEPS + limits.layers + 2)


def candidate_layout(limits: Limits) -> data.StructLayout:
    """A slot of a macro step.

    It is a pass if it is ``enabled``, its layer has ``begun``, the run has ``step`` and, for a ``local`` one, the layer
    has a local readout.
    """
    return data.StructLayout(
        {
            "valid": 1,
            "kind": Kind,
            "layer": range(limits.layers + 1),
            "enabled": 1,
            "begun": 1,
            "step": macro_steps(limits),
            "local": 1,
            "last": 1,
        }
    )


class Slot(wiring.Component):
    """Layer, delay and conditions of a slot of a macro step. Combinational.

    Parameters
    ----------
    limits : Limits

    Members
    -------
    number : In
        Number of the slot, 0 to slots(limits) - 1.
    depth : In
        Hidden layers of the network.
    feedback : In(1)
        Whether the hidden layers learn in this run.
    layer : Out
        Layer of weights; ``limits.layers`` in the slot of the readout.
    offset : Out
        Macro steps by which the slot is behind the first slot.
    enabled : Out(1)
        Whether the network has the layer and, after the readout, whether its hidden layers learn.
    local, integrates : Out(1)
        Whether it is a local readout, and whether it integrates spikes. Of the others the first one fires layer 1, the
        rest are feedback.
    """

    number: Signal
    depth: Signal
    feedback: Signal
    layer: Signal
    offset: Signal
    enabled: Signal
    local: Signal
    integrates: Signal

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        super().__init__(
            {
                "number": In(range(slots(limits))),
                "depth": In(CONFIG["hidden_layers"].shape),
                "feedback": In(1),
                "layer": Out(range(limits.layers + 1)),
                "offset": Out(macro_steps(limits)),
                "enabled": Out(1),
                "local": Out(1),
                "integrates": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        number, depth, readout = self.number, self.depth, readout_slot(self._limits)
        # Feedback of layer 1, then local readout and feedback of the others.
        number_after = Signal.like(number)
        m.d.comb += number_after.eq(number - (readout + 1))
        with m.If(number == 0):
            m.d.comb += self.enabled.eq(1)
        with m.Elif(number == LOCAL_SLOT):
            # Empty in inference.
            m.d.comb += [self.local.eq(1), self.offset.eq(1), self.enabled.eq(self.feedback)]
        with m.Elif(number < readout):
            m.d.comb += [
                self.integrates.eq(1),
                self.layer.eq(number - 1),
                self.offset.eq(number - 1),
                self.enabled.eq(self.layer < depth),
            ]
        with m.Elif(number == readout):
            m.d.comb += [
                self.integrates.eq(1),
                self.layer.eq(self._limits.layers),
                self.offset.eq(depth),
                self.enabled.eq(1),
            ]
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
    readout_layer = layers.shape().length - 1
    readout = candidate.layer == readout_layer
    m.d.comb += [
        chosen.kind.eq(candidate.kind),
        chosen.layer.eq(candidate.layer),
        chosen.readout.eq(readout),
        chosen.below.eq(Mux(readout, config.hidden_layers - 1, candidate.layer - 1)),
        chosen.below_base.eq(Array(layers[n].word_base for n in range(readout_layer))[chosen.below]),
        chosen.windows.eq(
            (chosen.settings.kernel != 0)
            & candidate.kind.as_value().matches(
                *(kind.value for kind in (Kind.INPUT, Kind.SPIKES, Kind.LEARN_INPUT, Kind.LEARN_SPIKES))
            )
        ),
        chosen.intermediate.eq(candidate.layer + 1 < config.intermediate),
        chosen.step.eq(candidate.step),
        chosen.last.eq(candidate.last),
        chosen.settings.eq(Array(layers[n] for n in range(readout_layer + 1))[candidate.layer]),
    ]


class Schedule(wiring.Component):
    """Emit the passes of one run (``docs/machine.md``, Schedule).

    One candidate per cycle is examined, in two stages; a pass takes one more cycle. An empty slot of a macro step costs
    one cycle, hidden behind the running pass.
    Golden twin: the loops of ``opzo.sim.golden.run``.

    Parameters
    ----------
    limits : Limits

    Members
    -------
    config, layers : In
        Settings, constant during a run; ``steps`` of the run.
    start, train : In(1)
        Strobe: the run begins; whether it is learned from.
    passes : Out(stream of pass_layout)
        ``last`` marks the last one.
    """

    config: data.View
    layers: data.View
    start: Signal
    train: Signal
    passes: stream.Interface

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        super().__init__(
            {
                "config": In(CONFIG),
                "layers": In(layers_layout(limits)),
                "start": In(1),
                "train": In(1),
                "passes": Out(stream.Signature(pass_layout(limits))),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        limits = self._limits
        readout_layer, last_slot = limits.layers, slots(limits) - 1
        depth, steps = self.config.hidden_layers, self.config.steps
        frozen = Signal()
        frame = Signal()
        feedback = Signal()
        train = Signal()
        macro = Signal(macro_steps(limits))
        slot = Signal(range(last_slot + 1))
        free = Signal()
        found = Signal()
        next_pass = record(pass_layout(limits), "next_pass", reset_less=True)
        m.d.comb += [
            frozen.eq(~decode_rule(self.config.rule).learns_hidden),
            frame.eq(~decode_input(self.config.input).events),
            feedback.eq(of_learning(limits, train & ~frozen)),
            free.eq(~found),
        ]
        # A pass that was found waits here, so that the search does not depend on when the runner takes one.
        with m.If(self.passes.ready):
            m.d.sync += self.passes.valid.eq(0)
        with m.If(found & ~self.passes.valid):
            m.d.sync += [self.passes.p.eq(next_pass), self.passes.valid.eq(1), found.eq(0)]

        # The candidate of this cycle: layer of the slot, and its time step if that exists.
        candidate, taken = (record(candidate_layout(limits), name) for name in ("candidate", "taken"))
        m.submodules.place = place = Slot(limits)
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
        last_macro = Signal.like(macro)
        is_last_macro = Signal()
        m.d.sync += [last_macro.eq(steps + depth - ~train), is_last_macro.eq(macro == last_macro)]
        learning = Signal(range(readout_layer + 1))
        learns_readout = Signal()
        # A convolution whose gradients complete a batch has a second pass.
        full = Signal()
        applies = Signal()
        applying = Signal()
        if limits.gradients and limits.learning:
            is_map = Array(self.layers[n].kernel != 0 for n in range(readout_layer))
            m.d.sync += full.eq(batch_full(self.config))
            m.d.comb += applies.eq(
                full & ~learns_readout & is_map[learning[: max(1, (readout_layer - 1).bit_length())]] & ~applying
            )
        with m.FSM():
            with m.State("IDLE"):
                m.d.sync += [macro.eq(0), slot.eq(0), train.eq(of_learning(limits, self.train))]
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
                m.d.comb += [
                    candidate.valid.eq(1),
                    candidate.kind.eq(Kind.FEEDBACK if limits.learning else Kind.SPIKES),
                ]
                with m.If(slot == 0):
                    m.d.comb += candidate.kind.eq(Mux(frame, Kind.FIRE.value, Kind.INPUT.value))
                with m.If(of_learning(limits, place.local)):
                    m.d.comb += candidate.kind.eq(Kind.LOCAL)
                with m.If(place.integrates):
                    m.d.comb += candidate.kind.eq(Kind.SPIKES)
                # The last step of the readout.
                final = (slot == readout_slot(limits)) & ~train & is_last_macro
                m.d.comb += candidate.last.eq(final)
                with m.If(free):
                    m.d.sync += slot.eq(slot + 1)
                    with m.If(slot == last_slot):
                        m.d.sync += [slot.eq(0), macro.eq(macro + 1)]
                    with m.If(final):
                        m.next = "IDLE"
                    if limits.learning:
                        with m.Elif(train & is_last_macro & (slot == last_slot)):
                            m.d.sync += [learning.eq(depth), learns_readout.eq(1)]
                            m.next = "LEARN"
            if limits.learning:
                with m.State("LEARN"):
                    # ``learning`` counts down: ``depth`` is the readout, below it are the hidden layers.
                    m.d.comb += [
                        candidate.valid.eq(1),
                        candidate.enabled.eq(1),
                        candidate.begun.eq(1),
                        candidate.local.eq(0),
                        candidate.layer.eq(Mux(learns_readout, readout_layer, learning)),
                        candidate.kind.eq(Mux(learning == 0, Kind.LEARN_INPUT.value, Kind.LEARN_SPIKES.value)),
                        candidate.step.eq(0),
                        candidate.last.eq((frozen | (learning == 0)) & ~applies),
                    ]
                    with m.If(applying):
                        m.d.comb += candidate.kind.eq(Kind.APPLY)
                    with m.If(free):
                        m.d.sync += applying.eq(applies)
                        with m.If(~applies):
                            m.d.sync += [learning.eq(learning - 1), learns_readout.eq(0)]
                        with m.If(candidate.last):
                            m.next = "IDLE"

        # In the next cycle the settings of its layer decide whether there is such a pass.
        chosen = record(pass_layout(limits), "chosen")
        derive_pass(m, chosen, taken, self.config, self.layers)
        has_local = Array(self.layers[n].local_shift != 0 for n in range(readout_layer + 1))[taken.layer]
        with m.If(free):
            m.d.sync += [
                taken.eq(candidate),
                next_pass.eq(chosen),
                found.eq(taken.valid & taken.enabled & taken.begun & (taken.step < steps) & (~taken.local | has_local)),
            ]
        return m
