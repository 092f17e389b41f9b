"""Byte layer of the link: frames in a byte stream, ``opzo.spec.frames``."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from opzo.spec.frames import END, ESC, ESC_END, ESC_ESC

DECODED = data.StructLayout({"data": 8, "end": 1, "corrupt": 1})
"""A byte of a frame, or, with ``end``, the end of a frame; ``corrupt``: the frame has an invalid escape."""
ENCODED = data.StructLayout({"data": 8, "end": 1})
"""A byte of a frame, or, with ``end``, the end of a frame."""


class SlipDecoder(wiring.Component):
    """Find frames in a byte stream and undo the escapes.

    Empty frames are dropped. Latency 1 cycle, throughput 1 byte per cycle. Golden twin: ``opzo.spec.frames.Unescape``
    (without its limit, which the receiver checks).

    Members
    -------
    i : In(stream)
        Bytes from the host.
    o : Out(stream)
        ``DECODED``: the bytes of each frame, then its end.
    """

    i: In(stream.Signature(8))
    o: Out(stream.Signature(DECODED))

    def elaborate(self, platform: object) -> Module:
        m = Module()
        byte = self.i.p
        take = Signal()
        escaped = Signal()
        corrupt = Signal()
        # There were bytes since the last END.
        open_ = Signal()
        is_end = Signal()
        is_esc = Signal()
        good = Signal()
        m.d.comb += [
            self.i.ready.eq(self.o.ready | ~self.o.valid),
            take.eq(self.i.valid & self.i.ready),
            is_end.eq(byte == END),
            is_esc.eq(~escaped & (byte == ESC)),
            good.eq(~escaped | (byte == ESC_END) | (byte == ESC_ESC)),
        ]
        with m.If(self.i.ready):
            m.d.sync += [
                self.o.valid.eq(self.i.valid & Mux(is_end, open_, ~is_esc & good)),
                self.o.p.data.eq(Mux(escaped, Mux(byte == ESC_END, END, ESC), byte)),
                self.o.p.end.eq(is_end),
                self.o.p.corrupt.eq(corrupt | escaped),
            ]
        with m.If(take):
            m.d.sync += [
                open_.eq(~is_end),
                escaped.eq(is_esc),
                corrupt.eq(~is_end & (corrupt | ~good)),
            ]
        return m


class SlipEncoder(wiring.Component):
    """Write frames into a byte stream, with END around each and escapes inside.

    Latency 0; one cycle for each byte written. Golden twin: ``opzo.spec.frames.Frame.encode``.

    Members
    -------
    i : In(stream)
        ``ENCODED``: the bytes of each frame, then its end.
    o : Out(stream)
        Bytes to the host.
    """

    i: In(stream.Signature(ENCODED))
    o: Out(stream.Signature(8))

    def elaborate(self, platform: object) -> Module:
        m = Module()
        begun = Signal()
        escaped = Signal()
        special = Signal()
        # The byte is the last that its item is written as.
        complete = Signal()
        m.d.comb += [
            special.eq((self.i.p.data == END) | (self.i.p.data == ESC)),
            complete.eq(begun & (self.i.p.end | escaped | ~special)),
            self.o.valid.eq(self.i.valid),
            self.i.ready.eq(self.o.ready & complete),
        ]
        with m.If(~begun | self.i.p.end):
            m.d.comb += self.o.p.eq(END)
        with m.Elif(escaped):
            m.d.comb += self.o.p.eq(Mux(self.i.p.data == END, ESC_END, ESC_ESC))
        with m.Elif(special):
            m.d.comb += self.o.p.eq(ESC)
        with m.Else():
            m.d.comb += self.o.p.eq(self.i.p.data)
        with m.If(self.o.valid & self.o.ready):
            m.d.sync += [
                begun.eq(~complete | ~self.i.p.end),
                escaped.eq(begun & ~complete),
            ]
        return m
