"""Samples of a block in their order, with the shifts of their images."""

from typing import Any

from amaranth import Cat, Module, Mux, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from opzo.hw.store.block import BLOCK
from opzo.hw.store.shuffle import Shuffle
from opzo.spec.shuffle import HALF_BITS, MAX_SHIFT, SEED_BITS

SHIFT = signed(MAX_SHIFT.bit_length() + 1)
PLACE = data.StructLayout({"sample": SEED_BITS, "down": SHIFT, "right": SHIFT, "last": 1})
"""Number of a sample, the pixels by which its image moves, and whether it is the last of the block."""


class SampleOrder(wiring.Component):
    """Say which samples a block runs, one after the other.

    Golden twins: ``opzo.spec.shuffle.order``, ``shifts``. A sample takes about 25 cycles, with shifts 50, and 25 more
    for each number of the map that no sample has (on average less than one). The next one is made while ``o`` waits.

    Members
    -------
    block : In(BLOCK)
        Stable from ``start`` until all samples were taken.
    start : In(1)
        Strobe: begin with the first sample of the block.
    o : Out(stream of PLACE)
        ``block.count`` samples.
    """

    block: In(BLOCK)
    start: In(1)
    o: Out(stream.Signature(PLACE))

    def elaborate(self, platform: object) -> Module:
        m = Module()
        block: Any = self.block
        m.submodules.shuffle = shuffle = Shuffle()
        # Bits of the largest number of a sample, at least one: ``mask`` has them set.
        mask = Signal(SEED_BITS)
        bits = Signal(range(SEED_BITS + 1))
        largest = Signal(SEED_BITS)
        position = Signal(SEED_BITS)
        left = Signal.like(block.count)
        found: Any = Signal(PLACE)
        for_shift = Signal()
        begins = Signal()
        m.d.comb += [
            shuffle.seed.eq(block.seed),
            shuffle.mask.eq(Mux(for_shift, -1, mask)),
            shuffle.half.eq(Mux(for_shift, HALF_BITS, (bits + 1) >> 1)),
            shuffle.number.eq(Mux(begins, position, shuffle.image)),
        ]
        moves = {}
        for name, half in (("right", shuffle.image[:HALF_BITS]), ("down", shuffle.image[HALF_BITS:])):
            # half * (2 most + 1), rounded down to pixels.
            product = Signal(HALF_BITS + SHIFT.width, name=f"product_{name}")
            doubled = Mux(block.shift == 1, half << 1, 0) | Mux(block.shift == 2, half << 2, 0)
            m.d.comb += product.eq(Mux(block.shift == 3, (half << 3) - half, doubled + half))
            moves[name] = product[HALF_BITS:] - block.shift
        with m.If(self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        with m.FSM():
            with m.State("WAIT"):
                m.d.sync += [
                    mask.eq(1),
                    bits.eq(1),
                    largest.eq((block.samples - 1) >> 1),
                    position.eq(block.first),
                    left.eq(block.count),
                ]
                with m.If(self.start):
                    m.next = "SIZE"
            with m.State("SIZE"):
                with m.If(largest != 0):
                    m.d.sync += [mask.eq(Cat(1, mask)), bits.eq(bits + 1), largest.eq(largest >> 1)]
                with m.Else():
                    m.next = "BEGIN"
            with m.State("BEGIN"):
                m.d.comb += begins.eq(1)
                m.d.sync += [
                    found.sample.eq(position),
                    found.down.eq(0),
                    found.right.eq(0),
                    found.last.eq(left == 1),
                ]
                with m.If(left == 0):
                    m.next = "WAIT"
                with m.Elif(block.seed == 0):
                    m.next = "OFFER"
                with m.Else():
                    m.d.comb += shuffle.start.eq(1)
                    m.next = "ORDER"
            with m.State("ORDER"):
                with m.If(shuffle.done):
                    m.next = "COMPARE"
            with m.State("COMPARE"):
                m.d.sync += found.sample.eq(shuffle.image)
                with m.If(shuffle.image >= block.samples):
                    m.d.comb += shuffle.start.eq(1)
                    m.next = "ORDER"
                with m.Elif(block.shift == 0):
                    m.next = "OFFER"
                with m.Else():
                    m.d.comb += [shuffle.start.eq(1), begins.eq(1), for_shift.eq(1)]
                    m.next = "SHIFT"
            with m.State("SHIFT"):
                m.d.comb += for_shift.eq(1)
                with m.If(shuffle.done):
                    m.next = "ROUND"
            with m.State("ROUND"):
                m.d.sync += [found[name].eq(pixels) for name, pixels in moves.items()]
                m.next = "OFFER"
            with m.State("OFFER"):
                with m.If(~self.o.valid | self.o.ready):
                    m.d.sync += [
                        self.o.p.eq(found),
                        self.o.valid.eq(1),
                        position.eq(position + 1),
                        left.eq(left - 1),
                    ]
                    m.next = "BEGIN"
        return m
