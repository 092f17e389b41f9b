"""Window walk: the spans of the window of each position of a convolution, one a cycle."""

from amaranth import Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from opzo.hw.lib.check import check, check_stream
from opzo.hw.lib.record import record
from opzo.hw.schedule.position_walk import position_moves
from opzo.spec.layers import MAX_CHANNELS, MAX_SIDE
from opzo.spec.limits import Limits
from opzo.spec.registers import LayerReg


def walk_layout() -> data.StructLayout:
    """What the walk must know of a convolution.

    ``height`` and ``width`` are those of its map, which are also those of the map that its window moves over;
    ``channels`` are those of the latter. ``cells``: a pool follows, so positions are numbered cell by cell.
    """
    return data.StructLayout(
        {
            "kernel": LayerReg.KERNEL.bits,
            "height": LayerReg.HEIGHT.bits,
            "width": LayerReg.WIDTH.bits,
            "channels": range(MAX_CHANNELS + 1),
            "words": LayerReg.WORDS.bits,
            "cells": 1,
        }
    )


def span_layout(limits: Limits) -> data.StructLayout:
    """One span of the window of a position, for one word of the position.

    ``begin`` and ``end`` (not included) are positions of the map that the window moves over: behind a pool, cells of
    the map below. The weight row of channel c at such a position p is ``p * channels + c - base``, where only the low
    bits of ``base`` are kept: the row has no more. ``last`` span of the window, ``last_word`` of the
    position, ``final`` span of the walk.
    """
    position = limits.row_bits
    return data.StructLayout(
        {
            "begin": position,
            "end": position,
            "base": limits.row_bits,
            "last": 1,
            "last_word": 1,
            "final": 1,
        }
    )


class WindowWalk(wiring.Component):
    """Walk the positions of a convolution in their order, and for each of their words the spans of the window.

    Golden twin: ``windows`` of ``opzo.spec.geometry``. Addresses follow the position by additions. Two
    products, width x channels and kernel x channels, take _PREPARE_CYCLES before the first span; then one span a cycle.

    Parameters
    ----------
    limits : Limits

    Members
    -------
    layer : In(stream of walk_layout)
        Taken after the ``final`` span of the layer before.
    span : Out(stream of span_layout)
    """

    layer: stream.Interface
    span: stream.Interface

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        super().__init__(
            {"layer": In(stream.Signature(walk_layout())), "span": Out(stream.Signature(span_layout(limits)))}
        )
        side, row = range(MAX_SIDE), limits.row_bits
        # Where the walk is: the window that is loaded next. ``top`` is the first position of the highest row that the
        # window sees; ``row_base`` + ``column_base`` is the base of the span in that row.
        self._place = data.StructLayout(
            {
                "y": side,
                "x": side,
                "word": LayerReg.WORDS.bits,
                **dict.fromkeys(("top", "row_base", "column_base"), row),
            }
        )
        # Weight rows from a row of positions to the next, and from a row of the kernel to the next.
        self._strides = data.StructLayout({"row": row, "kernel": row, "shifted": row})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        layer, place = record(walk_layout(), "held"), record(self._place, "place")
        strides = record(self._strides, "strides", reset_less=True)
        # ``load``: the next window starts. There is none after the last position.
        load = Signal()
        last_word = Signal()
        last_position = Signal()
        more = Signal()
        bit = Signal(range(_PREPARE_CYCLES))
        pad = layer.kernel >> 1
        m.d.comb += load.eq(more & (~self.span.valid | (self.span.ready & self.span.p.last)))
        with m.FSM():
            with m.State("TAKE"):
                m.d.comb += self.layer.ready.eq(1)
                m.d.sync += [
                    layer.eq(self.layer.p),
                    strides.eq(0),
                    strides.shifted.eq(self.layer.p.channels),
                    bit.eq(0),
                ]
                with m.If(self.layer.valid):
                    m.next = "MULTIPLY"
            with m.State("MULTIPLY"):
                m.d.sync += [strides.shifted.eq(strides.shifted << 1), bit.eq(bit + 1)]
                for product, factor in ((strides.row, layer.width), (strides.kernel, layer.kernel)):
                    with m.If((factor >> bit)[0]):
                        m.d.sync += product.eq(product + strides.shifted)
                with m.If(bit == _PREPARE_CYCLES - 2):
                    m.next = "START"
            with m.State("START"):
                # The window of position (0, 0) begins in the padding.
                m.d.sync += [
                    place.eq(0),
                    place.row_base.eq(-_times_pad(strides.kernel, pad)),
                    place.column_base.eq(-_times_pad(layer.channels, pad)),
                    more.eq(1),
                ]
                m.next = "WALK"
            with m.State("WALK"):
                with m.If(load & last_word & last_position):
                    m.d.sync += more.eq(0)
                with m.If(self.span.valid & self.span.ready & self.span.p.final):
                    m.next = "TAKE"
        m.d.comb += last_word.eq(place.word == layer.words - 1)
        with m.If(load):
            m.d.sync += place.word.eq(Mux(last_word, 0, place.word + 1))
        m.d.comb += last_position.eq(self._move(m, load & last_word, layer, place, strides, pad))
        self._emit(m, load, last_word & last_position, last_word, layer, place, strides)
        kernels = layer.kernel.matches(1, 3, 5)
        check(m, "kernel", ~more | kernels, "a walk over the windows of a layer that is no convolution")
        check_stream(m, "span", self.span)
        return m

    def _move(self, m: Module, en: Value, layer: data.View, place: data.View, strides: data.View, pad: Value) -> Value:
        """Go to the next position; whether there is none."""
        x, y = place.x, place.y
        moves = position_moves(m, x, y, layer.width, layer.cells)
        with m.If(en & moves.left):
            m.d.sync += [x.eq(x - 1), place.column_base.eq(place.column_base - layer.channels)]
        with m.If(en & moves.right):
            m.d.sync += [x.eq(x + 1), place.column_base.eq(place.column_base + layer.channels)]
        with m.If(en & moves.restart):
            m.d.sync += [x.eq(0), place.column_base.eq(-_times_pad(layer.channels, pad))]
        # Between two positions that both see the upper edge, the window loses a row of the kernel instead of one of the
        # map.
        row_of_map = Signal()
        top_step = Mux(row_of_map, layer.width, 0)
        base_step = Mux(row_of_map, strides.row, strides.kernel)
        with m.If(moves.up):
            m.d.comb += row_of_map.eq(y > pad)
        with m.Else():
            m.d.comb += row_of_map.eq(y >= pad)
        with m.If(en & moves.up):
            m.d.sync += [
                y.eq(y - 1),
                place.top.eq(place.top - top_step),
                place.row_base.eq(place.row_base - base_step),
            ]
        with m.If(en & moves.down):
            m.d.sync += [
                y.eq(y + 1),
                place.top.eq(place.top + top_step),
                place.row_base.eq(place.row_base + base_step),
            ]
        last: Value = moves.edge & (y == layer.height - 1)
        return last

    def _emit(
        self,
        m: Module,
        load: Value,
        final: Value,
        last_word: Value,
        layer: data.View,
        place: data.View,
        strides: data.View,
    ) -> None:
        """First span of the next window, or the one below the span that was taken."""
        span, pad = self.span.p, layer.kernel >> 1
        x, y = place.x, place.y
        left = Signal.like(span.begin)
        right = Signal.like(span.end)
        above = Signal(2)
        below = Signal(2)
        rows_left = Signal(3)
        # Whether the window is the last one: ``final`` is that and ``last``.
        ends = Signal()
        m.d.comb += [
            left.eq(Mux(x > pad, x - pad, 0)),
            right.eq(Mux(x + pad < layer.width - 1, x + pad + 1, layer.width)),
            above.eq(Mux(y > pad, pad, y)),
            below.eq(Mux(y + pad < layer.height, pad, layer.height - 1 - y)),
            span.final.eq(ends & span.last),
        ]
        with m.If(load):
            m.d.sync += [
                self.span.valid.eq(1),
                span.begin.eq(place.top + left),
                span.end.eq(place.top + right),
                span.base.eq(place.row_base + place.column_base),
                span.last.eq(above + below == 0),
                span.last_word.eq(last_word),
                rows_left.eq(above + below),
                ends.eq(final),
            ]
        with m.Elif(self.span.ready & span.last):
            m.d.sync += self.span.valid.eq(0)
        with m.Elif(self.span.ready & self.span.valid):
            m.d.sync += [
                span.begin.eq(span.begin + layer.width),
                span.end.eq(span.end + layer.width),
                span.base.eq(span.base + strides.row - strides.kernel),
                span.last.eq(rows_left == 1),
                rows_left.eq(rows_left - 1),
            ]


_PREPARE_CYCLES = LayerReg.WIDTH.bits + 1
"""From a layer to its first window: a cycle for each bit of the larger factor, and one to add the padding."""


def _times_pad(value: Value, pad: Value) -> Value:
    """Product with the padding, 0 to 2."""
    result: Value = Mux(pad[1], value << 1, Mux(pad[0], value, 0))
    return result
