"""Counts of the entries of the step lists."""

from amaranth import Module, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from opzo.hw.lib.check import check
from opzo.hw.registers import hidden_layers
from opzo.spec.limits import Limits


def list_layout(limits: Limits) -> data.StructLayout:
    """A step list: that of a layer's even or odd time steps."""
    return data.StructLayout({"layer": hidden_layers(limits), "parity": 1})


def strobe_layout(limits: Limits) -> data.StructLayout:
    """Strobe ``valid`` for a step list."""
    return data.StructLayout({"valid": 1, "layer": hidden_layers(limits), "parity": 1})


class ListCounts(wiring.Component):
    """Count the entries of each step list: two for each hidden layer.

    Parameters
    ----------
    limits : Limits
    most : int
        Entries of all layers together.

    Members
    -------
    append, empty : In(strobe_layout)
        A list has an entry more; a list becomes empty, not in the same cycle.
    clear : In(1)
        Strobe: all lists become empty.
    counts : Out(array by hidden layer of arrays of 2)
        Valid from the next cycle on.
    fill : Out
        Count of the list of ``append``.
    """

    append: data.View
    empty: data.View
    clear: Signal
    counts: data.View
    fill: Signal

    def __init__(self, limits: Limits, most: int) -> None:
        self._layers, self._most = limits.layers, most
        count = range(most + 1)
        super().__init__(
            {
                "append": In(strobe_layout(limits)),
                "empty": In(strobe_layout(limits)),
                "clear": In(1),
                "counts": Out(data.ArrayLayout(data.ArrayLayout(count, 2), limits.layers)),
                "fill": Out(count),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        append, empty = self.append, self.empty
        m.d.comb += self.fill.eq(self.counts[append.layer][append.parity])
        emptied_list = (empty.layer == append.layer) & (empty.parity == append.parity)
        check(m, "room", ~append.valid | (self.fill < self._most), "a step list overflows")
        check(m, "empty", ~append.valid | ~empty.valid | ~emptied_list, "a list is emptied while it grows")
        for layer in range(self._layers):
            for number in range(2):
                count = self.counts[layer][number]
                emptied, appended = (
                    strobe.valid & (strobe.layer == layer) & (strobe.parity == number) for strobe in (empty, append)
                )
                with m.If(self.clear | emptied):
                    m.d.sync += count.eq(0)
                with m.Elif(appended):
                    m.d.sync += count.eq(count + 1)
        return m
