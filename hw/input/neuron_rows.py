"""Rows of hidden neurons in the weights of the layer above."""

from amaranth import Module, Signal
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from opzo.hw.input.scanner import entry_bits, placed_layout
from opzo.spec.limits import Limits


class NeuronRows(wiring.Component):
    """Keep the list entry of the first lane of each word, so that lists of active neurons need not hold entries.

    Memory word: entry (`entry_bits`); address: word. All words of a network are placed in each time step, before Learn
    reads them; a word that is read in the cycle in which it is written is not used.

    Parameters
    ----------
    limits : Limits

    Members
    -------
    word_base : In(array by hidden layer)
        First word of each layer.
    placed : In(placed_layout)
    neuron : In, row : Out
        Number of a neuron, with the base of its layer; one cycle later the entry of the first lane of its word.
    """

    word_base: data.View
    placed: data.View
    neuron: Signal
    row: Signal

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        super().__init__(
            {
                "word_base": In(data.ArrayLayout(limits.word_bits, limits.layers)),
                "placed": In(placed_layout(limits)),
                "neuron": In(limits.neuron_bits),
                "row": Out(entry_bits(limits)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        memory: Memory = Memory(shape=len(self.row), depth=self._limits.words, init=[])
        m.submodules.memory = memory
        write = memory.write_port()
        read = memory.read_port()
        m.d.sync += [
            write.addr.eq(self.word_base[self.placed.layer] + self.placed.word),
            write.data.eq(self.placed.entry),
            write.en.eq(self.placed.valid),
        ]
        m.d.comb += [read.addr.eq(self.neuron >> self._limits.lane_bits), self.row.eq(read.data)]
        return m
