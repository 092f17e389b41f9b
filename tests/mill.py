"""A unit in the place of the accelerator that uses each kind of cell: its netlist is small, and soon simulated."""

from amaranth import Module, Signal
from amaranth.lib.memory import Memory
from stand_in import StandIn

from opzo.boards.families.ecp5_adder import ECP5GatedAdder
from opzo.boards.families.ecp5_multiplier import ECP5Multiplier

BLOCK, SMALL = 1024, 16
FACTOR = 37
BLOCK_LAG, SMALL_LAG = 3, 5
"""Bytes after which a byte that was written to the block RAM and to the distributed RAM is read again."""


class Mill(StandIn):
    """Answers each byte with the next one of `answers`. Bits 0, 1 and 2 of a byte: received, refused, training."""

    def elaborate(self, platform):
        m = Module()
        m.submodules.block = block = Memory(shape=9, depth=BLOCK, init=[])
        m.submodules.small = small = Memory(shape=8, depth=SMALL, init=range(SMALL))
        m.submodules.multiplier = multiplier = ECP5Multiplier()
        m.submodules.adder = adder = ECP5GatedAdder(9)
        write, read = block.write_port(), block.read_port()
        keep, fetch = small.write_port(), small.read_port(domain="comb")
        number, byte = Signal(range(BLOCK)), Signal(8)
        m.d.comb += [
            write.addr.eq(number),
            read.addr.eq(number - BLOCK_LAG),
            keep.addr.eq(number),
            fetch.addr.eq(number - SMALL_LAG),
            write.data.eq(multiplier.product),
            keep.data.eq(byte),
            multiplier.a.eq(byte),
            multiplier.b.eq(FACTOR),
            adder.a.eq(read.data),
            adder.b.eq(fetch.data),
            adder.add.eq(1),
        ]
        wait = Signal(2)
        with m.FSM():
            with m.State("RECEIVE"):
                m.d.comb += self.rx.ready.eq(1)
                with m.If(self.rx.valid):
                    m.d.sync += [byte.eq(self.rx.p), wait.eq(3)]
                    m.d.comb += [
                        self.received.eq(self.rx.p[0]),
                        self.refused.eq(self.rx.p[1]),
                        self.training.eq(self.rx.p[2]),
                    ]
                    m.next = "CALCULATE"
            with m.State("CALCULATE"):
                m.d.sync += wait.eq(wait - 1)
                with m.If(wait == 0):
                    m.d.comb += [write.en.eq(1), keep.en.eq(1)]
                    m.d.sync += self.tx.p.eq(adder.o)
                    m.next = "SEND"
            with m.State("SEND"):
                m.d.comb += self.tx.valid.eq(1)
                with m.If(self.tx.ready):
                    m.d.sync += number.eq(number + 1)
                    m.next = "RECEIVE"
        return m


def answers(sent):
    """What `Mill` answers to bytes, from the start."""
    block, small = [0] * BLOCK, list(range(SMALL))
    found = []
    for number, byte in enumerate(sent):
        found.append((block[(number - BLOCK_LAG) % BLOCK] + small[(number - SMALL_LAG) % SMALL]) & 0xFF)
        block[number % BLOCK] = byte * FACTOR & 0x1FF
        small[number % SMALL] = byte
    return bytes(found)
