"""Where the events of each position of the input map end, in the events of a time step."""

from typing import Any

from amaranth import Cat, Module, ResetInserter, Signal
from amaranth.lib import data, wiring
from amaranth.lib.fifo import SyncFIFO
from amaranth.lib.wiring import In, Out

from opzo.hw.input.event_buffer import EventReadSignature
from opzo.hw.input.window_ends import ends_write
from opzo.hw.interface import EVENT
from opzo.hw.lib.check import check
from opzo.hw.registers import LAYER
from opzo.spec.formats import HISTORY_STEPS
from opzo.spec.limits import Limits

AHEAD = 4
"""Events that are read ahead: an event's address reaches no register in the cycle in which the memory shows it."""


def step_events(limits: Limits) -> data.StructLayout:
    """Events ``begin`` to ``end`` (not included) of time step ``step``; ``valid``: strobe."""
    return data.StructLayout(
        {"valid": 1, "begin": limits.row_bits, "end": limits.row_bits, "step": range(HISTORY_STEPS)}
    )


class EventEnds(wiring.Component):
    """Walk over the events of a time step, which come in the order of their addresses, and keep where positions end.

    A cycle for each event and each position, and two before the first event.

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
        Strobe: an event was passed, that of ``address`` and ``value``.
    address, value : Out
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
    address: Signal
    value: Signal
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
                "address": Out(EVENT["address"].shape),
                "value": Out(EVENT["value"].shape),
                "write": Out(ends_write(limits)),
                "busy": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        bits = self._limits.row_bits
        index, left, unread, bound = (
            Signal(bits, name=name, reset_less=True) for name in ("index", "left", "unread", "bound")
        )
        count = Signal(bits, reset_less=True)
        position = Signal.like(self.positions, reset_less=True)
        read = Signal()
        shown = Signal()
        below = Signal()
        fifo = SyncFIFO(width=len(self.events.address) + len(self.events.value), depth=AHEAD)
        m.submodules.ahead = ResetInserter(self.start.valid)(fifo)
        m.d.comb += [
            # The event that the memory shows is one more than the level tells.
            read.eq(self.busy & (unread != 0) & (fifo.w_level < AHEAD - 1)),
            self.events.index.eq(index),
            fifo.w_en.eq(shown),
            fifo.w_data.eq(Cat(self.events.address, self.events.value)),
            Cat(self.address, self.value).eq(fifo.r_data),
            fifo.r_en.eq(self.counted),
            below.eq(self.address < bound),
            self.counted.eq(self.busy & fifo.r_rdy & below),
            self.write.en.eq(self.busy & ((left == 0) | (fifo.r_rdy & ~below))),
            self.write.place.eq(position),
            self.write.count.eq(count),
        ]
        m.d.sync += shown.eq(read)
        with m.If(read):
            m.d.sync += [index.eq(index + 1), unread.eq(unread - 1)]
        with m.If(self.counted):
            m.d.sync += [left.eq(left - 1), count.eq(count + 1)]
        with m.If(self.write.en):
            m.d.sync += [bound.eq(bound + self.channels), position.eq(position + 1)]
            with m.If(position == self.positions - 1):
                m.d.sync += self.busy.eq(0)
        with m.If(self.start.valid):
            m.d.sync += [
                index.eq(self.start.begin),
                left.eq(self.start.end - self.start.begin),
                unread.eq(self.start.end - self.start.begin),
                shown.eq(0),
                count.eq(0),
                position.eq(0),
                bound.eq(self.channels),
                self.busy.eq(1),
            ]
        check(m, "start", ~self.start.valid | ~self.busy, "a walk over events starts during another one")
        return m
