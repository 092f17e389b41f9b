"""Choice of the feedback shift from the mean magnitude of the feedback matrices of a layer."""

from typing import Any

from amaranth import Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from opzo.hw.decode import decode_rule
from opzo.hw.lib.check import check
from opzo.hw.registers import FeedbackShiftSignature
from opzo.hw.run_control import RunSignature
from opzo.hw.schedule.passes import tag_layout
from opzo.spec.formats import FEEDBACK_ENTRY, FEEDBACK_MEAN_MAX, FEEDBACK_REFRESH, FEEDBACK_SHIFT_MAX, WEIGHT
from opzo.spec.limits import Limits


class ScaleEstimator(wiring.Component):
    """Find the smallest shift k with ``sum(abs(entry)) >> k < FEEDBACK_MEAN_MAX * entries``.

    Golden twin: ``opzo.sim.golden.feedback_scale.feedback_shift``. ``done`` comes 3 + 2 k cycles after
    ``finish`` (k at most 10 where there was an entry), one entry a cycle before that, the last one up to the cycle of
    ``finish``.

    Parameters
    ----------
    limits : Limits
        Bounds the entries of one matrix (one lane): ``words * classes``. With convolutions a layer may have two.

    Members
    -------
    clear : In(1)
        Strobe: forget all entries, including those under way, and end a search; not together with an entry.
    entry : In({valid 1, value signed 16})
        Strobed entry, FEEDBACK_ENTRY.
    finish : In(1)
        Strobe: start the search. It destroys the sum: ``clear`` before the next entries.
    shift : Out(4)
        Result, from ``done`` until the next ``finish`` or ``clear``.
    done : Out(1)
        Strobe.
    """

    clear: Signal
    entry: data.View
    finish: Signal
    shift: Signal
    done: Signal

    def __init__(self, limits: Limits) -> None:
        self.entries = limits.words * limits.classes * (2 if limits.gradients else 1)
        value = signed(FEEDBACK_ENTRY.width)
        super().__init__(
            {
                "clear": In(1),
                "entry": In(data.StructLayout({"valid": 1, "value": value})),
                "finish": In(1),
                "shift": Out(range(FEEDBACK_SHIFT_MAX + 1)),
                "done": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        magnitude_valid = Signal()
        magnitude = Signal(FEEDBACK_ENTRY.width, reset_less=True)
        total = Signal(range(self.entries * -FEEDBACK_ENTRY.min + 1))
        limit = Signal(range(self.entries * FEEDBACK_MEAN_MAX + 1))
        # Registered: the comparison has a long carry chain.
        found = Signal()

        m.d.sync += [
            magnitude_valid.eq(self.entry.valid),
            magnitude.eq(Mux(self.entry.value < 0, -self.entry.value, self.entry.value)),
        ]
        with m.If(magnitude_valid):
            m.d.sync += [total.eq(total + magnitude), limit.eq(limit + FEEDBACK_MEAN_MAX)]
        m.d.sync += [self.done.eq(0), found.eq((total < limit) | (self.shift == FEEDBACK_SHIFT_MAX))]
        with m.FSM():
            with m.State("IDLE"):
                with m.If(self.finish & ~self.clear):
                    m.d.sync += self.shift.eq(0)
                    m.next = "DRAIN"
            with m.State("DRAIN"):
                # The last entry's magnitude is being added.
                m.next = "COMPARE"
                with m.If(self.clear):
                    m.next = "IDLE"
            with m.State("COMPARE"):
                m.next = "SEARCH"
                with m.If(self.clear):
                    m.next = "IDLE"
            with m.State("SEARCH"):
                m.next = "COMPARE"
                with m.If(self.clear):
                    m.next = "IDLE"
                with m.Elif(found):
                    m.d.sync += self.done.eq(1)
                    m.next = "IDLE"
                with m.Else():
                    m.d.sync += [total.eq(total >> 1), self.shift.eq(self.shift + 1)]
        with m.If(self.clear):
            m.d.sync += [total.eq(0), limit.eq(0)]
        check(m, "clear", ~(self.clear & self.entry.valid), "an entry comes together with a clear")
        return m


class FeedbackScales(wiring.Component):
    """Feedback shifts of all layers, chosen again in one of FEEDBACK_REFRESH runs with learning.

    Members
    -------
    run : In(RunSignature)
    tag : In(tag_layout), row : In(signed)
        Tag of the command at stage ROW, and the row of the first lane.
    measure : Out(1)
        The shifts are chosen in this run; goes into the tags of the entries of the feedback matrices.
    done : Out(1)
        No search is under way.
    feedback_shifts : Out(FeedbackShiftSignature)
        Results, in the cycle in which a run that measured closes.
    """

    run: Any
    tag: data.View
    row: Signal
    measure: Signal
    done: Signal
    feedback_shifts: Any

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        super().__init__(
            {
                "run": In(RunSignature()),
                "tag": In(tag_layout(limits)),
                "row": In(signed(WEIGHT.width)),
                "measure": Out(1),
                "done": Out(1),
                "feedback_shifts": Out(FeedbackShiftSignature(limits)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        run, config, tag, results = self.run, self.run.config, self.tag, self.feedback_shifts
        due = config.samples % FEEDBACK_REFRESH == 0
        with m.If(run.start):
            m.d.sync += self.measure.eq(run.train & due & decode_rule(config.rule).feedback)
        pending = Signal(self._limits.layers)
        for layer in range(self._limits.layers):
            m.submodules[f"scale_{layer}"] = scale = ScaleEstimator(self._limits)
            measured = tag.measure & (tag.layer == layer)
            m.d.comb += [
                scale.clear.eq(run.start),
                scale.entry.valid.eq(measured),
                scale.entry.value.eq(self.row),
                scale.finish.eq(measured & tag.last & tag.last_word),
                results.values[layer].eq(scale.shift),
                results.mask[layer].eq(layer < config.hidden_layers),
            ]
            with m.If(scale.finish):
                m.d.sync += pending[layer].eq(1)
            with m.Elif(scale.done):
                m.d.sync += pending[layer].eq(0)
        m.d.comb += [self.done.eq(~pending.any()), results.valid.eq(run.close & self.measure)]
        return m
