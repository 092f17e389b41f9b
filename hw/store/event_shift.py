"""Shift of an image by whole pixels: moves the events of a run."""

from typing import Any

from amaranth import Module, Mux, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from opzo.hw.interface import EVENT
from opzo.hw.lib.check import check_stream
from opzo.hw.store.block import FIELDS
from opzo.hw.store.order import SHIFT
from opzo.spec.limits import Limits
from opzo.spec.shuffle import MAX_SHIFT

SIZE = FIELDS["row"].width
MOVE = data.StructLayout({"down": SHIFT, "right": SHIFT, "height": SIZE, "row": SIZE, "pixel": SIZE})
"""Pixels by which an image moves; its rows of pixels, inputs of a row, inputs of a pixel."""


class EventShift(wiring.Component):
    """Move events down and to the right, and drop those that leave the image or the inputs of the network.

    Golden twin: ``moved`` of ``opzo.sim.golden.store``. An event takes 3 cycles, as a pair in the decoder, and one more
    for each row of pixels since the event before it: addresses ascend in a frame or time step.

    Parameters
    ----------
    limits : Limits
        Limits of the device.

    Members
    -------
    move : In(MOVE)
        Stable from ``restart`` until the last event of the run has left. Without a shift all events pass.
    inputs : In
        Inputs of the network; stable likewise.
    restart : In(1)
        Strobe: a new run begins, two cycles before its first event or earlier; only while not ``busy``.
    i, o : In(stream of EVENT), Out(stream of EVENT)
    busy : Out(1)
        An event is in the unit.
    """

    move: Any
    inputs: Any
    restart: Any
    i: Any
    o: Any
    busy: Any

    def __init__(self, limits: Limits) -> None:
        super().__init__(
            {
                "move": In(MOVE),
                "inputs": In(range(limits.inputs + 1)),
                "restart": In(1),
                "i": In(stream.Signature(EVENT)),
                "o": Out(stream.Signature(EVENT)),
                "busy": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        move, address_bits = self.move, EVENT["address"].width
        # Rows of pixels are followed from one event to the next: where the row begins, where the next one does, and
        # which row of the image it becomes.
        begin = Signal(address_bits + 1)
        end = Signal(range((1 << address_bits) + (1 << SIZE)))
        row = Signal(signed(SIZE + SHIFT.width))
        # By how many addresses an event moves: by a part of a row, and in all.
        aside = Signal(signed(SIZE + SHIFT.width))
        offset = Signal(signed(SIZE + SHIFT.width + 1))
        moves = Signal()
        flat = Signal()
        m.d.sync += [
            moves.eq((move.down != 0) | (move.right != 0)),
            flat.eq(move.row == 0),
            aside.eq(_times(move.right, move.pixel)),
            offset.eq(_times(move.down, move.row) + _times(move.right, move.pixel)),
        ]
        held: Any = Signal(EVENT)
        holds = Signal()
        # The event is in the row that is followed, or in none that the image has: ``column`` and ``place`` are valid.
        judged = Signal()
        beyond = Signal()
        column = Signal(address_bits + 1)
        place = Signal(signed(SIZE + SHIFT.width + 2))
        new_column = Signal(signed(SIZE + SHIFT.width + 1))
        is_end = held.ends != 0
        passes = Signal()
        kept = Signal()
        free = Signal()
        m.d.comb += [
            self.i.ready.eq(~holds),
            self.busy.eq(holds | self.o.valid),
            beyond.eq(flat | (row >= move.height)),
            new_column.eq(column + aside),
            passes.eq(is_end | ~moves),
            kept.eq(
                passes | (judged & (row >= 0) & (new_column >= 0) & (new_column < move.row) & (place < self.inputs))
            ),
            free.eq(~self.o.valid | self.o.ready),
        ]
        with m.If(self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        with m.If(~holds):
            m.d.sync += [held.eq(self.i.p), holds.eq(self.i.valid), judged.eq(0)]
        with m.Elif(~passes & ~judged):
            with m.If((held.address < end) | beyond):
                m.d.sync += [
                    judged.eq(~beyond),
                    # An event below the image is dropped at once.
                    holds.eq(~beyond),
                    column.eq(held.address - begin),
                    place.eq(held.address + offset),
                ]
            with m.Else():
                m.d.sync += [begin.eq(end), end.eq(end + move.row), row.eq(row + 1)]
        with m.Elif(free):
            m.d.sync += [
                holds.eq(0),
                self.o.valid.eq(kept),
                self.o.p.address.eq(Mux(passes, held.address, place)),
                self.o.p.value.eq(held.value),
                self.o.p.ends.eq(held.ends),
            ]
        with m.If(self.restart | (holds & is_end)):
            m.d.sync += [begin.eq(0), end.eq(move.row), row.eq(move.down)]
        check_stream(m, "o", self.o)
        return m


def _times(pixels: Any, size: Any) -> Any:
    """Product of a shift, -MAX_SHIFT to MAX_SHIFT, and a size."""
    assert MAX_SHIFT == 3
    # In two's complement the top bit stands for -4.
    return Mux(pixels[0], size, 0) + (Mux(pixels[1], size, 0) << 1) - (Mux(pixels[2], size, 0) << 2)
