"""Where the events of each position of the input map end, in the events of a time step."""

from typing import Any

from amaranth import Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from opzo.hw.input.event_buffer import EventReadSignature
from opzo.hw.input.window_ends import ends_write
from opzo.hw.lib.check import check
from opzo.hw.registers import LAYER
from opzo.spec.formats import HISTORY_STEPS
from opzo.spec.limits import Limits


def step_events(limits: Limits) -> data.StructLayout:
    """Events ``begin`` to ``end`` (not included) of time step ``step``; ``valid``: strobe."""
    return data.StructLayout(
        {"valid": 1, "begin": limits.row_bits, "end": limits.row_bits, "step": range(HISTORY_STEPS)}
    )


class EventEnds(wiring.Component):
    """Walk over the events of a time step, which come in the order of their addresses, and keep where positions end.

    A cycle for each event and each position.

    Parameters
    ----------
    limits : Limits

    Members
    -------
    start : In(step_events)
        While not ``busy``.
    channels, positions : In
        Of the input map; constant while ``busy``.
    events : Out(EventReadSignature)
        Used while ``busy``.
    counted : Out(1)
        Strobe: an event was passed, whose address and value ``events`` shows.
    write : Out(ends_write)
        Ends, counted from ``begin``.
    busy : Out(1)
        Rises the cycle after ``start``.
    """

    start: data.View
    channels: Signal
    positions: Signal
    events: Any
    counted: Signal
    write: data.View
    busy: Signal

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        super().__init__(
            {
                "start": In(step_events(limits)),
                "channels": In(LAYER["seen"].shape),
                "positions": In(LAYER["positions"].shape),
                "events": Out(EventReadSignature(limits)),
                "counted": Out(1),
                "write": Out(ends_write(limits)),
                "busy": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        bits = self._limits.row_bits
        # ``index`` is that of the event at the memory's output, once it was asked for.
        index, left, bound = (Signal(bits, name=name, reset_less=True) for name in ("index", "left", "bound"))
        count, position = Signal(bits, reset_less=True), Signal.like(self.positions, reset_less=True)
        asked, inside, next_index = Signal(), Signal(), Signal(bits)
        m.d.comb += [
            inside.eq((left != 0) & (self.events.address < bound)),
            self.counted.eq(asked & inside),
            # Not ``index + counted``: whether the event counts is known late.
            next_index.eq(Mux(self.counted, index + 1, index)),
            self.events.index.eq(next_index),
            self.write.en.eq(asked & ~inside),
            self.write.place.eq(position),
            self.write.count.eq(count),
        ]
        m.d.sync += asked.eq(self.busy)
        with m.If(self.counted):
            m.d.sync += [index.eq(next_index), left.eq(left - 1), count.eq(count + 1)]
        with m.If(self.write.en):
            m.d.sync += [bound.eq(bound + self.channels), position.eq(position + 1)]
            with m.If(position == self.positions - 1):
                m.d.sync += [self.busy.eq(0), asked.eq(0)]
        with m.If(self.start.valid):
            m.d.sync += [
                index.eq(self.start.begin),
                left.eq(self.start.end - self.start.begin),
                count.eq(0),
                position.eq(0),
                bound.eq(self.channels),
                self.busy.eq(1),
            ]
        check(m, "start", ~self.start.valid | ~self.busy, "a walk over events starts during another one")
        return m
