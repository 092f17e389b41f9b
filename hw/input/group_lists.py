"""Lists of spiking neurons by groups of lanes in one memory."""

from amaranth import Cat, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from opzo.hw.input.list_counts import ListCounts, strobe_layout
from opzo.hw.input.scanner import at_most_one, entry_bits, group_lanes, group_layout, groups_of_word, lowest
from opzo.hw.lib.record import record
from opzo.hw.registers import hidden_layers
from opzo.spec.limits import Limits


def group_index(limits: Limits) -> range:
    """Shape of an index in a list of groups."""
    return range(max(2, limits.words * groups_of_word(limits)))


class GroupLists(wiring.Component):
    """Lists of the groups of lanes with spikes, two for each hidden layer: one for each parity of the time step.

    A list is read from a group on, spike after spike. Memory word: entry of the first lane, spikes; address:
    (word_base of the layer + index), in groups, which leaves each layer room for all of its groups, then parity, the
    lowest bit.

    Parameters
    ----------
    limits : Limits

    Members
    -------
    word_base : In(array by hidden layer)
        First word of each layer.
    group : In(group_layout)
        Strobe: append to a list; it is written one cycle later.
    empty : In(strobe_layout)
        Strobe: one list becomes empty. Not while something is appended to it.
    clear : In(1)
        Strobe: all lists become empty.
    layer, parity : In
        List that is read, constant from a ``seek`` to the last spike that is asked for; it must be complete.
    next : In(1), seek : In(1), index : In
        Ask for a spike: with ``seek`` the first one of group ``index``, else the one after the last. After a ``seek``
        without ``next`` a spike is asked for with ``seek``.
    row, lane : Out
        One cycle after ``next``: entry (`entry_bits`) of the first lane of the group, and the lane, one-hot.
    """

    word_base: data.View
    group: data.View
    empty: data.View
    clear: Signal
    layer: Signal
    parity: Signal
    next: Signal
    seek: Signal
    index: Signal
    row: Signal
    lane: Signal

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        super().__init__(
            {
                "word_base": In(data.ArrayLayout(limits.word_bits, limits.layers)),
                "group": In(group_layout(limits)),
                "empty": In(strobe_layout(limits)),
                "clear": In(1),
                "layer": In(hidden_layers(limits)),
                "parity": In(1),
                "next": In(1),
                "seek": In(1),
                "index": In(group_index(limits)),
                "row": Out(entry_bits(limits)),
                "lane": Out(group_lanes(limits)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        limits = self._limits
        groups, most = groups_of_word(limits), limits.words * groups_of_word(limits)
        word = data.StructLayout({"entry": entry_bits(limits), "spikes": group_lanes(limits)})
        memory: Memory = Memory(shape=word, depth=2 * most, init=[])
        m.submodules.memory = memory
        write = memory.write_port()
        read = memory.read_port()

        def address(layer: Value, parity: Value, index: Value) -> Value:
            return Cat(parity, (index + (self.word_base[layer] << exact_log2(groups)))[: len(self.index)])

        m.submodules.counts = counts = ListCounts(limits, most)
        group = self.group
        m.d.comb += [
            *(counts.append[name].eq(group[name]) for name in ("valid", "layer", "parity")),
            counts.empty.eq(self.empty),
            counts.clear.eq(self.clear),
        ]
        m.d.sync += [
            write.addr.eq(address(group.layer, group.parity, counts.fill)),
            write.data.entry.eq(group.entry),
            write.data.spikes.eq(group.spikes),
            write.en.eq(group.valid),
        ]

        # ``at`` is the group at the memory's output, ``rest`` what is left of the one before it.
        at = Signal.like(self.index, reset_less=True)
        ahead = Signal.like(self.index)
        asked = Signal()
        sought = Signal(reset_less=True)
        some = Signal(reset_less=True)
        rest, current = record(word, "rest", reset_less=True), record(word, "current")
        fresh = Signal()
        spike = lowest(current.spikes)
        m.d.comb += [
            fresh.eq(sought | ~some),
            ahead.eq(Mux(self.seek, self.index, at + (asked & fresh))),
            read.addr.eq(address(self.layer, self.parity, ahead)),
            current.eq(Mux(fresh, read.data.as_value(), rest.as_value())),
            self.row.eq(current.entry),
            self.lane.eq(spike),
        ]
        m.d.sync += [at.eq(ahead), asked.eq(self.next), sought.eq(self.seek)]
        with m.If(asked):
            m.d.sync += [
                rest.entry.eq(current.entry),
                rest.spikes.eq(current.spikes & ~spike),
                some.eq(~at_most_one(current.spikes)),
            ]
        return m
