"""Choice of the feedback shift from the mean magnitude of a feedback matrix."""

from amaranth import Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from opzo.spec.formats import FEEDBACK_ENTRY, FEEDBACK_MEAN_MAX, FEEDBACK_SHIFT_MAX
from opzo.spec.network import Limits


class ScaleEstimator(wiring.Component):
    """Find the smallest shift k with ``sum(abs(entry)) >> k < FEEDBACK_MEAN_MAX * entries``.

    Golden twin: ``opzo.sim.golden.scale.feedback_shift``. ``done`` comes 2 + k cycles after ``finish`` (k at most 10
    where there was an entry), one entry a cycle before that, the last one up to the cycle of ``finish``.

    Parameters
    ----------
    limits : Limits
        Bounds the entries of one matrix (one lane): ``words * classes``.

    Members
    -------
    clear : In(1)
        Strobe: forget all entries, also those on their way and a search; not together with an entry.
    entry : In({valid 1, value signed 16})
        Strobed entry, FEEDBACK_ENTRY.
    finish : In(1)
        Strobe: start the search. It uses the sum up, so the next entries need a ``clear`` before them.
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
        self.entries = limits.words * limits.classes
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

        m.d.sync += [
            magnitude_valid.eq(self.entry.valid),
            magnitude.eq(Mux(self.entry.value < 0, -self.entry.value, self.entry.value)),
        ]
        with m.If(magnitude_valid):
            m.d.sync += [total.eq(total + magnitude), limit.eq(limit + FEEDBACK_MEAN_MAX)]
        m.d.sync += self.done.eq(0)
        with m.FSM():
            with m.State("IDLE"):
                with m.If(self.finish & ~self.clear):
                    m.d.sync += self.shift.eq(0)
                    m.next = "DRAIN"
            with m.State("DRAIN"):
                # The last entry's magnitude is being added.
                m.next = "SEARCH"
                with m.If(self.clear):
                    m.next = "IDLE"
            with m.State("SEARCH"):
                with m.If(self.clear):
                    m.next = "IDLE"
                with m.Elif((total < limit) | (self.shift == FEEDBACK_SHIFT_MAX)):
                    m.d.sync += self.done.eq(1)
                    m.next = "IDLE"
                with m.Else():
                    m.d.sync += [total.eq(total >> 1), self.shift.eq(self.shift + 1)]
        with m.If(self.clear):
            m.d.sync += [total.eq(0), limit.eq(0)]
        return m
