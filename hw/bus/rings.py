"""Rings of bytes between a bus and the byte link."""

from amaranth import Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from opzo.spec.bus import COUNT_BITS, RING_BYTES

_WORDS = RING_BYTES // 4
_INDEX = (RING_BYTES - 1).bit_length()


class LinkRings(wiring.Component):
    """Two memories of RING_BYTES: the host writes one and reads the other; counts say what is in them.

    Byte n is in word n / 4 of a ring, the first byte of a word lowest. Bytes to the link take three cycles each.

    Members
    -------
    w_address : In, w_data : In(32), w_en : In(1)
        Write a word of the ring to the link.
    r_address : In, r_data : Out(32)
        Word of the ring from the link, valid one cycle later.
    in_put, out_taken : In(16)
        Counts of the host.
    in_taken, out_put : Out(16)
        Counts of the device.
    enable : In(1)
        The link may take bytes.
    to_link : Out(stream), from_link : In(stream)
        Bytes.
    put : Out(1)
        Strobe: a byte came from the link.
    """

    w_address: In(range(_WORDS))
    w_data: In(32)
    w_en: In(1)
    r_address: In(range(_WORDS))
    r_data: Out(32)
    in_put: In(COUNT_BITS)
    out_taken: In(COUNT_BITS)
    in_taken: Out(COUNT_BITS)
    out_put: Out(COUNT_BITS)
    enable: In(1)
    to_link: Out(stream.Signature(8))
    from_link: In(stream.Signature(8))
    put: Out(1)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        incoming: Memory = Memory(shape=32, depth=_WORDS, init=[])
        outgoing: Memory = Memory(shape=32, depth=_WORDS, init=[])
        m.submodules.incoming, m.submodules.outgoing = incoming, outgoing
        w_port, in_port = incoming.write_port(), incoming.read_port()
        out_port, r_port = outgoing.write_port(granularity=8), outgoing.read_port()
        byte = Signal(8, reset_less=True)
        m.d.comb += [
            w_port.addr.eq(self.w_address),
            w_port.data.eq(self.w_data),
            w_port.en.eq(self.w_en),
            in_port.addr.eq(self.in_taken[2:_INDEX]),
            self.to_link.p.eq(byte),
        ]
        with m.FSM():
            with m.State("WAIT"):
                with m.If(self.enable & (self.in_taken != self.in_put)):
                    m.next = "READ"
            with m.State("READ"):
                m.d.sync += [byte.eq(in_port.data.word_select(self.in_taken[:2], 8)), self.to_link.valid.eq(1)]
                m.next = "SEND"
            with m.State("SEND"):
                with m.If(self.to_link.ready | ~self.enable):
                    m.d.sync += self.to_link.valid.eq(0)
                    m.next = "WAIT"
                    with m.If(self.to_link.ready):
                        m.d.sync += self.in_taken.eq(self.in_taken + 1)

        used = Signal(COUNT_BITS)
        m.d.comb += [
            used.eq(self.out_put - self.out_taken),
            self.from_link.ready.eq(used != RING_BYTES),
            self.put.eq(self.from_link.valid & self.from_link.ready),
            out_port.addr.eq(self.out_put[2:_INDEX]),
            out_port.data.eq(self.from_link.p.replicate(4)),
            out_port.en.eq(Mux(self.put, 1 << self.out_put[:2], 0)),
            r_port.addr.eq(self.r_address),
            self.r_data.eq(r_port.data),
        ]
        with m.If(self.put):
            m.d.sync += self.out_put.eq(self.out_put + 1)
        return m
