"""Lists of spiking neurons in one memory."""

from amaranth import Cat, Module, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from opzo.hw.input.list_counts import ListCounts, strobe_layout
from opzo.hw.input.scanner import entry_bits, spike_layout
from opzo.hw.lib.record import record
from opzo.hw.registers import hidden_layers
from opzo.spec.limits import Limits


def counts_layout(limits: Limits) -> data.ArrayLayout:
    """Entries of two lists for each hidden layer."""
    return data.ArrayLayout(data.ArrayLayout(range(limits.words * limits.lanes + 1), 2), limits.layers)


class SpikeLists(wiring.Component):
    """Lists of the neurons that spiked, two for each hidden layer: one for each parity of the time step.

    Memory word: entry (`entry_bits`); address: word_base of the layer * lanes + index, which leaves each layer room for
    all of its neurons, then parity, the lowest bit.

    Parameters
    ----------
    limits : Limits

    Members
    -------
    word_base : In(array by hidden layer)
        First word of each layer.
    spike : In(spike_layout)
        Strobe: append ``entry`` to a list; it is written one cycle later.
    empty : In(strobe_layout)
        Strobe: one list becomes empty. Not while something is appended to it.
    clear : In(1)
        Strobe: all lists become empty.
    layer, parity, index : In
        Entry that is ``row`` one cycle later.
    counts : Out(array by hidden layer arrays of 2)
        Entries of every list; they can be read from the next cycle on.
    """

    word_base: data.View
    spike: data.View
    empty: data.View
    clear: Signal
    layer: Signal
    parity: Signal
    index: Signal
    row: Signal
    counts: data.View

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        super().__init__(
            {
                "word_base": In(data.ArrayLayout(limits.word_bits, limits.layers)),
                "spike": In(spike_layout(limits)),
                "empty": In(strobe_layout(limits)),
                "clear": In(1),
                "layer": In(hidden_layers(limits)),
                "parity": In(1),
                "index": In(limits.neuron_bits),
                "row": Out(entry_bits(limits)),
                "counts": Out(counts_layout(limits)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        lanes = self.limits.lane_bits
        width = len(self.index)
        memory: Memory = Memory(shape=len(self.row), depth=2 * self.limits.words * self.limits.lanes, init=[])
        m.submodules.memory = memory
        write = memory.write_port()
        read = memory.read_port()
        m.submodules.counts = counts = ListCounts(self.limits, self.limits.words * self.limits.lanes)

        def address(layer: Value, parity: Value, index: Value) -> Value:
            word = (index[lanes:] + self.word_base[layer])[: width - lanes]
            return Cat(parity, index[:lanes], word)

        written = record(self.spike.shape(), "written")
        write_address = Signal.like(write.addr, reset_less=True)
        m.d.sync += [
            written.eq(self.spike),
            write_address.eq(address(self.spike.layer, self.spike.parity, counts.fill[:width])),
        ]
        m.d.comb += [
            *(counts.append[name].eq(self.spike[name]) for name in ("valid", "layer", "parity")),
            counts.empty.eq(self.empty),
            counts.clear.eq(self.clear),
            self.counts.eq(counts.counts),
            write.addr.eq(write_address),
            write.data.eq(written.entry),
            write.en.eq(written.valid),
            read.addr.eq(address(self.layer, self.parity, self.index)),
            self.row.eq(read.data),
        ]
        return m
