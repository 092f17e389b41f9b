"""Ends of the positions of all lists that windows move over: step lists, active neurons, inputs."""

from typing import Any

from amaranth import Module, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In

from opzo.hw.input.position_ends import ListKind, PositionEnds, RunSpanSignature, list_entries, place_bits, read_counts
from opzo.hw.input.scanner import fired_layout, map_layout
from opzo.spec.limits import Limits


def ends_write(limits: Limits) -> data.StructLayout:
    """Strobe ``en``: ``count`` entries of a list come before the end of position (or cell) ``place``."""
    return data.StructLayout({"en": 1, "place": limits.word_bits, "count": list_entries(limits)})


class EndsMemory(wiring.Component):
    """Ends of the positions of one list a layer. Memory word: count; address: ``base`` of the layer + position.

    Parameters
    ----------
    limits : Limits
    depth : int
        Positions and cells of all layers.

    Members
    -------
    write_base : In, write : In(ends_write)
    base : In, span : In(RunSpanSignature)
        Of the list that is read.
    """

    write_base: Signal
    write: data.View
    base: Signal
    span: Any

    def __init__(self, limits: Limits, depth: int) -> None:
        self._depth = depth
        super().__init__(
            {
                "write_base": In(place_bits(limits)),
                "write": In(ends_write(limits)),
                "base": In(place_bits(limits)),
                "span": In(RunSpanSignature(limits)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        memory: Memory = Memory(shape=self.write.count.shape(), depth=self._depth, init=[])
        m.submodules.memory = memory
        write = memory.write_port()
        m.d.sync += [
            write.addr.eq(self.write_base + self.write.place),
            write.data.eq(self.write.count),
            write.en.eq(self.write.en),
        ]
        span = self.span

        def read(bound: Value) -> Value:
            return read_counts(m, memory, bound, span.en, lambda position: self.base + position)

        m.d.comb += [span.first.eq(read(span.begin)), span.after.eq(read(span.end)), span.index.eq(span.first)]
        return m


class WindowEnds(wiring.Component):
    """Ends of the positions of step lists, lists of active neurons, and inputs.

    Parameters
    ----------
    limits : Limits

    Members
    -------
    fired : In({valid 1, ... as fired_layout}), place_base, maps : In(array by hidden layer)
        As those of `PositionEnds`, for the step lists.
    active_layer : In, active_ends : In(ends_write)
        Ends in the list of the active neurons of a layer, which only a device that learns has.
    input_ends : In(ends_write)
        Ends in the events of a step, or in the list of active inputs.
    span : In(RunSpanSignature)
    """

    fired: data.View
    place_base: data.View
    maps: data.View
    active_layer: Signal
    active_ends: data.View
    input_ends: data.View
    span: Any

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        span = RunSpanSignature(limits)
        super().__init__(
            {
                "fired": In(data.StructLayout({"valid": 1, "word": fired_layout(limits)})),
                "place_base": In(data.ArrayLayout(place_bits(limits), limits.layers)),
                "maps": In(data.ArrayLayout(map_layout(limits), limits.layers)),
                "active_layer": In(span.members["layer"].shape),
                "active_ends": In(ends_write(limits)),
                "input_ends": In(ends_write(limits)),
                "span": In(span),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        limits, span = self._limits, self.span
        m.submodules.steps = steps = PositionEnds(limits)
        # The first layer, a convolution, has the positions of the inputs, and a word or more at each.
        m.submodules.input_list = inputs = EndsMemory(limits, limits.stored_currents)
        kind = Signal(ListKind, reset_less=True)
        with m.If(span.en):
            m.d.sync += kind.eq(span.kind)
        m.d.comb += [
            steps.fired.eq(self.fired),
            steps.place_base.eq(self.place_base),
            steps.maps.eq(self.maps),
            inputs.write.eq(self.input_ends),
        ]
        units: dict[ListKind, Any] = {ListKind.STEP: steps, ListKind.INPUT: inputs}
        if limits.learning:
            m.submodules.active_lists = active = EndsMemory(limits, limits.stored_places)
            m.d.comb += [
                active.write_base.eq(self.place_base[self.active_layer]),
                active.write.eq(self.active_ends),
                active.base.eq(self.place_base[span.layer]),
            ]
            units[ListKind.ACTIVE] = active
        for unit in units.values():
            m.d.comb += [
                getattr(unit.span, name).eq(getattr(span, name))
                for name in ("kind", "layer", "parity", "begin", "end", "en")
            ]
        for name in ("first", "after", "index"):
            with m.Switch(kind):
                for number, unit in units.items():
                    with m.Case(number):
                        m.d.comb += getattr(span, name).eq(getattr(unit.span, name))
        return m
