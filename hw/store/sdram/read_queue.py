"""Words on their way from the SDRAM to the user."""

from typing import Any

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import In, Out

from opzo.hw.store.memory import WORD_BITS

_QUEUE_CYCLES = 6
"""From a word at the pins to room for another one: registers of the queue and of ``room``, and of the READ."""


class ReadQueue(wiring.Component):
    """Take words from the data pins at their time, and keep them until the user takes them.

    Parameters
    ----------
    data_bits : int
        Width of the data bus, 16 or 32.
    edges : int
        Clock edges from the one that launches READ at the pins to the one that takes its word from ``dq``, 1 or more.

    Members
    -------
    start : In(1)
        A READ is launched at the next clock edge; only while there is room.
    upper : In(1)
        It is for the upper half of a bus of 32 bits.
    room : Out(1)
        There is room for one more word, with those on their way counted.
    dq : In(data_bits)
    read : Out(stream)
        Words in order.
    """

    start: Signal
    upper: Signal
    room: Signal
    dq: Signal
    read: Any

    def __init__(self, data_bits: int, edges: int) -> None:
        if edges < 1:
            raise ValueError(f"edges must be 1 or more, not {edges}")
        self._wide, self._edges = data_bits > WORD_BITS, edges
        super().__init__(
            {
                "start": In(1),
                "upper": In(1),
                "room": Out(1),
                "dq": In(data_bits),
                "read": Out(stream.Signature(WORD_BITS)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        # A power of two, so that a READ can start in each cycle.
        depth = 1 << (self._edges + _QUEUE_CYCLES - 1).bit_length()
        m.submodules.queue = queue = SyncFIFOBuffered(width=WORD_BITS, depth=depth)
        under_way = Signal(self._edges)
        upper = Signal(self._edges, reset_less=True)
        # Words that there is room for.
        free = Signal(range(depth + 1), init=depth)
        room = Signal(init=1)
        taken = Signal()
        m.d.comb += [
            queue.w_en.eq(under_way[-1]),
            queue.w_data.eq(Mux(upper[-1], self.dq[-WORD_BITS:], self.dq[:WORD_BITS]) if self._wide else self.dq),
            taken.eq(self.read.valid & self.read.ready),
            self.room.eq(room),
        ]
        wiring.connect(m, queue.r_stream, wiring.flipped(self.read))
        m.d.sync += under_way.eq(Cat(self.start, under_way[:-1]))
        if self._wide:
            m.d.sync += upper.eq(Cat(self.upper, upper[:-1]))
        with m.If(self.start & ~taken):
            m.d.sync += [free.eq(free - 1), room.eq(free != 1)]
        with m.Elif(~self.start & taken):
            m.d.sync += [free.eq(free + 1), room.eq(1)]
        return m
