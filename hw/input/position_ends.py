"""Where the spikes of each position of a map end in the step lists."""

from collections.abc import Callable
from functools import partial
from typing import Any

from amaranth import Array, Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib import enum as hdl_enum
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out, Signature

from opzo.hw.input.scanner import fired_layout, group_lanes, groups_of_word, map_layout
from opzo.hw.lib.record import record
from opzo.hw.registers import hidden_layers
from opzo.spec.geometry import CELL_BITS
from opzo.spec.limits import Limits


class ListKind(hdl_enum.Enum, shape=2):
    """Lists that windows move over."""

    STEP = 0
    """Neurons that spiked in a time step."""
    ACTIVE = 1
    """Neurons that were active in this run or before."""
    INPUT = 2
    """Events of a time step, or inputs that were active."""


def list_entries(limits: Limits) -> range:
    """Shape of a number of entries of a list."""
    return range(max(limits.words * limits.lanes, limits.events) + 1)


def place_bits(limits: Limits) -> int:
    """Bits of the number of a place (`Limits.places`) of the hidden layers."""
    return max(1, (limits.stored_places - 1).bit_length())


def window_list(limits: Limits) -> data.StructLayout:
    """A list: its kind, its layer, and, for a step list, even or odd time steps."""
    return data.StructLayout({"kind": ListKind, "layer": hidden_layers(limits), "parity": 1})


class RunSpanSignature(Signature):
    """Read access to the ends of the positions of a list, seen from the reader.

    Members
    -------
    kind, layer, parity : Out
        The list.
    begin, end : Out
        Span of positions, or of cells where a pool follows; ``end`` is not included and more than ``begin``.
    en : Out(1)
        Read; without it, the answer stays.
    first, after : In
        One cycle after ``en``: entries of the list before the span, and up to its end.
    index : In
        Where the span begins in the list; in a step list that is a group of lanes (`GroupLists`).
    """

    def __init__(self, limits: Limits) -> None:
        super().__init__(
            {
                "kind": Out(ListKind),
                "layer": Out(hidden_layers(limits)),
                "parity": Out(1),
                "begin": Out(limits.row_bits),
                "end": Out(limits.row_bits),
                "en": Out(1),
                "first": In(list_entries(limits)),
                "after": In(list_entries(limits)),
                "index": In(list_entries(limits)),
            }
        )


def read_counts(m: Module, memory: Memory, bound: Value, en: Value, address: Callable[[Value], Value]) -> Value:
    """Counts before position ``bound``, one cycle after ``en``, from a memory of those after each position.

    ``address`` is that of a position.
    """
    read = memory.read_port()
    # Nothing comes before position 0.
    some = Signal(reset_less=True)
    m.d.comb += [read.addr.eq(address(bound - 1)), read.en.eq(en)]
    with m.If(en):
        m.d.sync += some.eq(bound != 0)
    return Mux(some, Value.cast(read.data), 0)


class PositionEnds(wiring.Component):
    """Count the spikes of a layer and step word by word, and keep the counts after each position, for the step lists.

    The list of the layer and step has its spikes in the same order, so the counts after positions ``begin`` - 1 and
    ``end`` - 1 are those of the entries before a span and up to its end. Of a cell only the last counts stay. Memory
    word: spikes, groups of lanes with spikes; address: ``place_base`` of the layer + position or cell, then parity, the
    lowest bit. Two copies, so that a span is read in one cycle. Golden twin: ``opzo.sim.golden.windows.Windows``.

    Parameters
    ----------
    limits : Limits

    Members
    -------
    fired : In({valid 1, ... as fired_layout})
        Strobe: a word. Those of a layer and step follow each other, in ascending order.
    place_base, maps : In(array by hidden layer)
        Positions of the layers below, or cells where a pool follows; map_layout of each layer. Constant during a run.
    span : In(RunSpanSignature)
        May be read WRITE_CYCLES after the last word of the list, and before the first one of the next list.
    """

    fired: data.View
    place_base: data.View
    maps: data.View
    span: Any

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        super().__init__(
            {
                "fired": In(data.StructLayout({"valid": 1, "word": fired_layout(limits)})),
                "place_base": In(data.ArrayLayout(place_bits(limits), limits.layers)),
                "maps": In(data.ArrayLayout(map_layout(limits), limits.layers)),
                "span": In(RunSpanSignature(limits)),
            }
        )
        self._counted = data.StructLayout(
            {
                "valid": 1,
                "begins": 1,
                "layer": hidden_layers(limits),
                "parity": 1,
                "spikes": range(limits.lanes + 1),
                "groups": range(groups_of_word(limits) + 1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        limits, span = self._limits, self.span
        counts = data.StructLayout(
            {
                "spikes": range(limits.words * limits.lanes + 1),
                "groups": range(limits.words * groups_of_word(limits) + 1),
            }
        )
        count, before = record(counts, "count", reset_less=True), record(counts, "before")
        memory: Memory = Memory(shape=counts, depth=2 * limits.stored_places, init=[])
        m.submodules.memory = memory
        write = memory.write_port()

        def address(layer: Value, parity: Value, position: Value) -> Value:
            return Cat(parity, (self.place_base[layer] + position)[: place_bits(limits)])

        # Stage 1: spikes of the word; 2: count, and the word's position; then written.
        counted = record(self._counted, "counted")
        word = self.fired.word
        m.d.sync += [
            counted.valid.eq(self.fired.valid),
            counted.begins.eq(word.word == 0),
            counted.layer.eq(word.layer),
            counted.parity.eq(word.parity),
            counted.spikes.eq(sum(word.spikes, start=Const(0, 1))),
            counted.groups.eq(
                sum(
                    (
                        word.spikes.word_select(group, group_lanes(limits)).any()
                        for group in range(groups_of_word(limits))
                    ),
                    start=Const(0, 1),
                )
            ),
        ]
        map = Array(self.maps[layer] for layer in range(limits.layers))[counted.layer]
        place = record(data.StructLayout({"position": limits.word_bits, "word": map.words.shape()}), "place")
        # The place is that of the word after this one.
        position = Signal.like(place.position)
        number = Signal.like(place.word)
        ends = Signal()
        with m.If(~counted.begins):
            m.d.comb += [before.eq(count), position.eq(place.position), number.eq(place.word)]
        m.d.comb += ends.eq(number == map.words - 1)
        write_en = Signal()
        write_address = Signal.like(write.addr, reset_less=True)
        m.d.sync += write_en.eq(counted.valid)
        with m.If(counted.valid):
            m.d.sync += [
                count.spikes.eq(before.spikes + counted.spikes),
                count.groups.eq(before.groups + counted.groups),
                place.position.eq(position + ends),
                place.word.eq(Mux(ends, 0, number + 1)),
                write_address.eq(
                    address(counted.layer, counted.parity, Mux(map.cells, position >> CELL_BITS, position))
                ),
            ]
        m.d.comb += [write.addr.eq(write_address), write.data.eq(count), write.en.eq(write_en)]

        def read(bound: Value) -> data.View:
            place = partial(address, span.layer, span.parity)
            return data.View(counts, read_counts(m, memory, bound, span.en, place))

        first = read(span.begin)
        m.d.comb += [span.first.eq(first.spikes), span.index.eq(first.groups), span.after.eq(read(span.end).spikes)]
        return m


WRITE_CYCLES = 3
"""From a word to the first cycle in which the count after it can be read: spikes of the word, count, memory."""
