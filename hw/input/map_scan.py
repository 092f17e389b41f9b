"""Scan of a map: the neurons of all positions, in the order of the lists."""

from amaranth import Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from opzo.hw.lib.check import check
from opzo.hw.lib.record import record
from opzo.hw.registers import LAYER
from opzo.spec.geometry import CELL, CELL_BITS


def scan_layout() -> data.StructLayout:
    """What a scan must know of a layer.

    ``is_map``: it is a convolution, or the inputs of one, and is scanned at all. ``stride``: numbers of a position,
    which has ``channels`` neurons; ``cells``: a pool follows; ``by_parts``: a dense layer follows behind that pool, so
    that the first positions of all cells come first, then the second ones and so on.
    """
    return data.StructLayout(
        {
            "is_map": 1,
            "channels": LAYER["channels"].shape,
            "stride": LAYER["channels"].shape,
            "positions": LAYER["positions"].shape,
            "cells": 1,
            "by_parts": 1,
        }
    )


def scanned_layout(bits: int) -> data.StructLayout:
    """A neuron of a scan: its number ``row``.

    ``ends``: the last one of position (where a pool follows, of a position of cell) ``place``; ``ends_part``: the last
    one of part ``part`` of all cells.
    """
    return data.StructLayout(
        {
            "row": bits,
            "ends": 1,
            "place": LAYER["positions"].shape,
            "ends_part": 1,
            "part": CELL_BITS,
        }
    )


class MapScan(wiring.Component):
    """Count through the neurons of a map, one a cycle.

    Golden twins: order and addresses of ``opzo.sim.golden.windows.Windows``.

    Parameters
    ----------
    bits : int
        Bits of the number of a neuron.

    Members
    -------
    start : In(1)
        Strobe; the first neuron follows in the next cycle.
    map : In(scan_layout)
        Constant from the first neuron to ``last``.
    valid : Out(1), neuron : Out(scanned_layout), last : Out(1)
        A neuron, and whether it is the last one.
    """

    start: Signal
    map: data.View
    valid: Signal
    neuron: data.View
    last: Signal

    def __init__(self, bits: int) -> None:
        super().__init__(
            {
                "start": In(1),
                "map": In(scan_layout()),
                "valid": Out(1),
                "neuron": Out(scanned_layout(bits)),
                "last": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        map, neuron = self.map, self.neuron
        row = neuron.row.shape()
        # First neuron of the position, and of the part.
        place = record(
            data.StructLayout(
                {
                    "row": row,
                    "position_row": row,
                    "part_row": row,
                    "channel": map.channels.shape(),
                    "position": map.positions.shape(),
                    "part": CELL_BITS,
                }
            ),
            "place",
        )
        ends = Signal()
        ends_part = Signal()
        position = Signal.like(place.position)
        row_step = Mux(map.by_parts, map.stride << CELL_BITS, map.stride)
        m.d.comb += [
            ends.eq(place.channel == map.channels - 1),
            position.eq(place.position + Mux(map.by_parts, CELL, 1)),
            ends_part.eq(ends & (position >= map.positions)),
            self.last.eq(ends_part & (~map.by_parts | place.part.all())),
            neuron.row.eq(place.row),
            neuron.ends.eq(ends & ~map.by_parts),
            neuron.place.eq(Mux(map.cells, place.position >> CELL_BITS, place.position)),
            neuron.ends_part.eq(ends_part & map.by_parts),
            neuron.part.eq(place.part),
        ]
        with m.If(self.valid):
            m.d.sync += [
                place.row.eq(place.row + 1),
                place.channel.eq(place.channel + 1),
            ]
            with m.If(ends):
                next_row = Signal(row)
                m.d.comb += next_row.eq(place.position_row + row_step)
                m.d.sync += [
                    place.row.eq(next_row),
                    place.position_row.eq(next_row),
                    place.channel.eq(0),
                    place.position.eq(position),
                ]
            with m.If(ends_part):
                part_row = Signal(row)
                part = Signal(CELL_BITS)
                m.d.comb += [part_row.eq(place.part_row + map.stride), part.eq(place.part + 1)]
                m.d.sync += [
                    place.row.eq(part_row),
                    place.position_row.eq(part_row),
                    place.part_row.eq(part_row),
                    place.position.eq(part),
                    place.part.eq(part),
                ]
            with m.If(self.last):
                m.d.sync += self.valid.eq(0)
        with m.If(self.start):
            m.d.sync += [place.eq(0), self.valid.eq(1)]
        check(m, "start", ~self.start | ~self.valid | self.last, "a scan starts before the last one has ended")
        return m
