"""Frames of the link: received and checked, or completed and sent. ``opzo.spec.frames`` has the format."""

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.crc.catalog import CRC32_ISO_HDLC
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from opzo.hw.lib.slip import DECODED, ENCODED
from opzo.spec.frames import CRC, HEADER, MAX_PAYLOAD

SIZE_BITS = MAX_PAYLOAD.bit_length()
RECEIVED = data.StructLayout({"size": SIZE_BITS, "seq": 8, "code": 8, "good": 1})
"""Header of a received frame; only with ``good`` is the rest valid."""
REPLY_HEADER = data.StructLayout({"size": 16, "seq": 8, "code": 8})
"""Header of a frame for the host, in the order in which it is sent."""


class ReplySignature(wiring.Signature):
    """A frame for the host, without crc: the header, which is taken when the frame has been sent, and the payload."""

    def __init__(self) -> None:
        super().__init__({"header": Out(stream.Signature(REPLY_HEADER)), "payload": Out(stream.Signature(8))})


class FrameReceiver(wiring.Component):
    """Store a frame, check it, and then offer it.

    Golden twin: ``opzo.spec.frames.Frame.decode``. While a frame is offered nothing is received. The payload is
    read at up to a byte in 2 cycles, far above any link, from 3 cycles after ``frame`` became valid. Payload that was
    not read is dropped with the frame.

    Members
    -------
    i : In(stream)
        ``DECODED`` bytes.
    frame : Out(stream)
        ``RECEIVED``: every frame, malformed ones included. Taking it makes room for the next.
    payload : Out(stream)
        The ``size`` bytes of payload of the frame that is offered, if it is good.
    """

    i: In(stream.Signature(DECODED))
    frame: Out(stream.Signature(RECEIVED))
    payload: Out(stream.Signature(8))

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.crc = crc = CRC32_ISO_HDLC().create()
        # 1,024 bytes are half a block RAM of an ECP5: byte k of the payload in row k.
        memory: Memory = Memory(shape=8, depth=MAX_PAYLOAD, init=[])
        m.submodules.memory = memory
        write = memory.write_port()
        header = Signal(8 * HEADER.size)
        # One bit for each missing byte of the header.
        missing = Signal(HEADER.size, init=-1)
        # Bytes after the header, crc included; saturates when a frame is far too long.
        stored = Signal(SIZE_BITS)
        corrupt = Signal()
        size = header[:16]
        byte = Signal()
        done = Signal()
        m.d.comb += [
            byte.eq(self.i.valid & self.i.ready & ~self.i.p.end),
            done.eq(self.frame.valid & self.frame.ready),
            crc.data.eq(self.i.p.data),
            crc.valid.eq(byte),
            crc.start.eq(done),
            write.addr.eq(stored),
            write.data.eq(self.i.p.data),
            write.en.eq(byte & ~missing.any() & (stored < MAX_PAYLOAD)),
            self.frame.p.size.eq(size),
            self.frame.p.seq.eq(header[16:24]),
            self.frame.p.code.eq(header[24:32]),
        ]
        with m.If(byte):
            with m.If(missing.any()):
                m.d.sync += [header.eq(Cat(header[8:], self.i.p.data)), missing.eq(missing >> 1)]
            with m.Elif(~stored.all()):
                m.d.sync += stored.eq(stored + 1)
        with m.FSM() as fsm:
            with m.State("RECEIVE"):
                m.d.comb += self.i.ready.eq(1)
                m.d.sync += corrupt.eq(self.i.p.corrupt)
                with m.If(self.i.valid & self.i.p.end):
                    m.next = "CHECK"
            with m.State("CHECK"):
                m.d.sync += self.frame.p.good.eq(
                    ~corrupt & ~missing.any() & (size <= MAX_PAYLOAD) & (stored == size + CRC.size) & crc.match_detected
                )
                m.next = "OFFER"
            with m.State("OFFER"):
                m.d.comb += self.frame.valid.eq(1)
                with m.If(self.frame.ready):
                    m.d.sync += [missing.eq(missing.init), stored.eq(0)]
                    m.next = "RECEIVE"
        offered = fsm.ongoing("OFFER") & self.frame.p.good & ~self.frame.ready
        self._read(m, memory, offered, size)
        return m

    def _read(self, m: Module, memory: Memory, offered: Value, size: Value) -> None:
        # The slow output of the block RAM is registered. ``ready``, which arrives late, only clears a bit.
        read = memory.read_port()
        index = Signal(SIZE_BITS)
        fetched = Signal()
        m.d.comb += [read.addr.eq(index), read.en.eq(~self.payload.valid)]
        with m.If(~offered):
            m.d.sync += [index.eq(0), fetched.eq(0), self.payload.valid.eq(0)]
        with m.Elif(self.payload.valid):
            m.d.sync += self.payload.valid.eq(~self.payload.ready)
        with m.Else():
            m.d.sync += [
                fetched.eq(index != size),
                index.eq(index + (index != size)),
                self.payload.p.eq(read.data),
                self.payload.valid.eq(fetched),
            ]


class FrameSender(wiring.Component):
    """Send a frame: header, payload, crc, end.

    Golden twin: ``opzo.spec.frames.Frame.encode`` (without the escapes). Sends at most a byte in 2 cycles, far above
    any link, which keeps the paths of ``ready`` short.

    Members
    -------
    reply : In(ReplySignature)
        The frame; ``size`` bytes of payload.
    o : Out(stream)
        ``ENCODED`` bytes.
    """

    reply: In(ReplySignature())
    o: Out(stream.Signature(ENCODED))

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.crc = crc = CRC32_ISO_HDLC().create()
        header, payload = self.reply.header, self.reply.payload
        count = Signal(2)
        remaining = Signal(16)
        # No payload remains.
        empty = Signal()
        free = Signal()
        # The states test the terms of emit instead of emit itself: payload.valid arrives late.
        emit = Signal()
        byte = Signal(8)
        # The byte in the output register is not yet in the crc. The next one is 2 cycles later, so the crc is complete.
        fresh = Signal()
        m.d.comb += [
            free.eq(~self.o.valid),
            crc.data.eq(self.o.p.data),
            crc.valid.eq(fresh),
        ]
        with m.If(emit):
            m.d.sync += [self.o.p.data.eq(byte), self.o.valid.eq(1)]
        with m.Elif(self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        m.d.sync += fresh.eq(0)
        with m.FSM():
            with m.State("HEADER"):
                m.d.comb += [byte.eq(header.p.as_value().word_select(count, 8)), emit.eq(free & header.valid)]
                with m.If(free & header.valid):
                    m.d.sync += [
                        count.eq(count + 1),
                        remaining.eq(header.p.size),
                        empty.eq(header.p.size == 0),
                        fresh.eq(1),
                        self.o.p.end.eq(0),
                    ]
                    with m.If(count == HEADER.size - 1):
                        m.next = "PAYLOAD"
            with m.State("PAYLOAD"):
                m.d.comb += byte.eq(payload.p)
                with m.If(empty):
                    m.next = "CRC"
                with m.Else():
                    m.d.comb += [payload.ready.eq(free), emit.eq(free & payload.valid)]
                with m.If(free & payload.valid & ~empty):
                    m.d.sync += [remaining.eq(remaining - 1), empty.eq(remaining == 1), fresh.eq(1)]
            with m.State("CRC"):
                m.d.comb += [byte.eq(crc.crc.word_select(count, 8)), emit.eq(free)]
                with m.If(free):
                    m.d.sync += count.eq(count + 1)
                    with m.If(count == CRC.size - 1):
                        m.next = "END"
            with m.State("END"):
                m.d.comb += [emit.eq(free), header.ready.eq(free), crc.start.eq(1)]
                with m.If(free):
                    m.d.sync += self.o.p.end.eq(1)
                    m.next = "HEADER"
        return m


class ReplyArbiter(wiring.Component):
    """Let two sources send frames, one frame at a time; ``first`` has priority.

    Members
    -------
    first, second : In(ReplySignature)
        Sources.
    o : Out(ReplySignature)
        To the `FrameSender`.
    """

    first: In(ReplySignature())
    second: In(ReplySignature())
    o: Out(ReplySignature())

    def elaborate(self, platform: object) -> Module:
        m = Module()
        chosen = Signal()
        busy = Signal()
        with m.If(~busy):
            m.d.sync += [
                chosen.eq(~self.first.header.valid),
                busy.eq(self.first.header.valid | self.second.header.valid),
            ]
        with m.Elif(self.o.header.ready):
            m.d.sync += busy.eq(0)
        for number, source in enumerate((self.first, self.second)):
            granted = busy & (chosen == number)
            m.d.comb += [
                source.header.ready.eq(granted & self.o.header.ready),
                source.payload.ready.eq(granted & self.o.payload.ready),
            ]
        m.d.comb += [
            self.o.header.valid.eq(busy),
            self.o.header.p.eq(Mux(chosen, self.second.header.p, self.first.header.p)),
            self.o.payload.valid.eq(busy & Mux(chosen, self.second.payload.valid, self.first.payload.valid)),
            self.o.payload.p.eq(Mux(chosen, self.second.payload.p, self.first.payload.p)),
        ]
        return m
