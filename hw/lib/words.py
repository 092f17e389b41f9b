"""Words from bytes and bytes from words, little-endian."""

from amaranth.hdl import Cat, Module, Mux, Signal, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out


class BytesToWords(wiring.Component):
    """Collect bytes, the lowest first, into words.

    Latency 1 cycle after the last byte; one idle cycle for each word.

    Parameters
    ----------
    bytes_ : int
        Bytes of a word, 2 or more.

    Members
    -------
    i : In(stream)
        Bytes.
    o : Out(stream)
        Words of ``8 * bytes_`` bits.
    """

    i: stream.Interface
    o: stream.Interface

    def __init__(self, bytes_: int) -> None:
        if bytes_ < 2:
            raise ValueError(f"a word must have 2 or more bytes, not {bytes_}")
        self.bytes = bytes_
        super().__init__({"i": In(stream.Signature(8)), "o": Out(stream.Signature(unsigned(8 * bytes_)))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        # One bit for each missing byte, except the last.
        missing = Signal(self.bytes - 1, init=-1)
        m.d.comb += self.i.ready.eq(~self.o.valid)
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += [
                self.o.p.eq(Cat(self.o.p[8:], self.i.p)),
                missing.eq(Mux(missing.any(), missing >> 1, missing.init)),
                self.o.valid.eq(~missing.any()),
            ]
        with m.If(self.o.valid & self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        return m


class WordsToBytes(wiring.Component):
    """Send words as bytes, the lowest first.

    Throughput 1 byte per cycle, one idle cycle for each word; no combinational path from ``o.ready`` to ``i.ready``.

    Parameters
    ----------
    bytes_ : int
        Bytes of a word.

    Members
    -------
    i : In(stream)
        ``word`` of ``8 * bytes_`` bits, and ``last``: the number of its last byte that is sent.
    o : Out(stream)
        Bytes.
    """

    i: stream.Interface
    o: stream.Interface

    def __init__(self, bytes_: int) -> None:
        if bytes_ < 2:
            raise ValueError(f"a word must have 2 or more bytes, not {bytes_}")
        word = data.StructLayout({"word": 8 * bytes_, "last": range(bytes_)})
        super().__init__({"i": In(stream.Signature(word)), "o": Out(stream.Signature(8))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        held = Signal.like(self.i.p)
        m.d.comb += [
            self.i.ready.eq(~self.o.valid),
            self.o.p.eq(held.word[:8]),
        ]
        with m.If(self.i.ready):
            m.d.sync += [held.eq(self.i.p), self.o.valid.eq(self.i.valid)]
        with m.Elif(self.o.ready):
            m.d.sync += [
                held.word.eq(held.word >> 8),
                held.last.eq(held.last - 1),
                self.o.valid.eq(held.last != 0),
            ]
        return m
