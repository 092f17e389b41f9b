"""Lists of spiking neurons in one memory."""

from amaranth import Array, Cat, Module, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from opzo.hw.input.scanner import entry_bits, spike_layout
from opzo.hw.lib.check import check
from opzo.hw.lib.record import record
from opzo.hw.registers import hidden_layers
from opzo.spec.network import Limits


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
    empty : In({valid 1, layer, parity 1})
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
                "empty": In(data.StructLayout({"valid": 1, "layer": hidden_layers(limits), "parity": 1})),
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
        write, read = memory.write_port(), memory.read_port()
        count_shape = range(self.limits.words * self.limits.lanes + 1)
        counts = Array(
            Array(Signal(count_shape, name=f"count_{layer}_{number}") for number in range(2))
            for layer in range(self.limits.layers)
        )

        def address(layer: Value, parity: Value, index: Value) -> Value:
            word = (index[lanes:] + self.word_base[layer])[: width - lanes]
            return Cat(parity, index[:lanes], word)

        fill = Signal(count_shape)
        written = record(self.spike.shape(), "written")
        write_address = Signal.like(write.addr, reset_less=True)
        m.d.sync += [
            written.eq(self.spike),
            write_address.eq(address(self.spike.layer, self.spike.parity, fill[:width])),
        ]
        m.d.comb += [
            fill.eq(counts[self.spike.layer][self.spike.parity]),
            write.addr.eq(write_address),
            write.data.eq(written.entry),
            write.en.eq(written.valid),
            read.addr.eq(address(self.layer, self.parity, self.index)),
            self.row.eq(read.data),
        ]
        appends, room = self.spike.valid, self.limits.words * self.limits.lanes
        check(m, "room", ~appends | (fill < room), "a list of spikes overflows")
        emptied_list = (self.empty.layer == self.spike.layer) & (self.empty.parity == self.spike.parity)
        check(m, "empty", ~appends | ~self.empty.valid | ~emptied_list, "a list is emptied while a spike is appended")
        for layer in range(self.limits.layers):
            for number in range(2):
                count = counts[layer][number]
                m.d.comb += self.counts[layer][number].eq(count)
                emptied, appended = (
                    strobe.valid & (strobe.layer == layer) & (strobe.parity == number)
                    for strobe in (self.empty, self.spike)
                )
                with m.If(self.clear | emptied):
                    m.d.sync += count.eq(0)
                with m.Elif(appended):
                    m.d.sync += count.eq(count + 1)
        return m
