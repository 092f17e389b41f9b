"""Memory of the sample store in block RAM, for boards without SDRAM."""

from typing import Any

from amaranth import Module, Signal
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In

from opzo.hw.store.memory import MOST_WORDS, WORD_BITS, StoreMemorySignature


class BlockMemory(wiring.Component):
    """Execute commands on a block RAM, a word a cycle.

    The first word of a read is ready three cycles after its command. Words that were read wait in two registers behind
    the memory, where later writes do not change them.

    Parameters
    ----------
    address_bits : int
        The memory has 2 ** address_bits words; 1 or more.

    Members
    -------
    port : In(StoreMemorySignature)
    """

    port: Any

    def __init__(self, address_bits: int) -> None:
        if address_bits < 1:
            raise ValueError(f"address_bits must be 1 or more, not {address_bits}")
        self._address_bits = address_bits
        super().__init__({"port": In(StoreMemorySignature(address_bits))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        port = self.port
        # What is read in the cycle of a write is not used.
        words: memory.Memory = memory.Memory(shape=WORD_BITS, depth=1 << self._address_bits, init=[])
        m.submodules.words = words
        reader, writer = words.read_port(), words.write_port()
        address = Signal(self._address_bits, reset_less=True)
        left = Signal(range(MOST_WORDS + 1))
        writes = Signal(reset_less=True)
        busy = Signal()
        # The word at the output of the block RAM, and the one in the register behind it.
        fetched = Signal()
        steps = Signal()
        moves = Signal()
        m.d.comb += [
            port.command.ready.eq(~busy),
            steps.eq(~port.read.valid | port.read.ready),
            reader.en.eq(steps | ~fetched),
            reader.addr.eq(address),
            writer.addr.eq(address),
            writer.data.eq(port.write.p),
            port.write.ready.eq(busy & writes),
            writer.en.eq(port.write.ready & port.write.valid),
            moves.eq(writer.en | (busy & ~writes & reader.en)),
        ]
        with m.If(reader.en):
            m.d.sync += fetched.eq(busy & ~writes)
        with m.If(steps):
            m.d.sync += [port.read.valid.eq(fetched), port.read.p.eq(reader.data)]
        with m.If(moves):
            m.d.sync += [address.eq(address + 1), left.eq(left - 1), busy.eq(left != 1)]
        with m.If(port.command.valid & port.command.ready):
            command = port.command.p
            m.d.sync += [address.eq(command.address), left.eq(command.words), writes.eq(command.write), busy.eq(1)]
        return m
