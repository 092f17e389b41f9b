"""Results for a bus: packets of words, kept until they are taken."""

from typing import Any

from amaranth import Cat, Const, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import In, Out

from opzo.hw.bus.samples import ANSWER, WORD
from opzo.hw.interface import RESULT
from opzo.hw.interface import TAG_BITS as PLACE_BITS
from opzo.hw.lib.check import check, check_stream
from opzo.spec.bus import PENDING_RESULTS, RESULT_FIELDS, TAG_BITS
from opzo.spec.commands import Status
from opzo.spec.limits import Limits
from opzo.spec.registers import Reg

_KEPT = data.StructLayout({"tag": TAG_BITS, "more": RESULT_FIELDS[3].bits})
"""What the head of a run's result says: the sample's tag, and how many words follow."""


class ResultPackets(wiring.Component):
    """Make packets from the results of the core and from refusals, in the order of the samples.

    There is room for every packet that was announced by ``answer``, so the core never waits for whoever takes them.

    Parameters
    ----------
    limits : Limits
        Limits of the device.

    Members
    -------
    answer : In(stream of ANSWER)
        A sample; with status OK its result comes from the core.
    classes : In(7)
        Register CLASSES, stable while runs are under way.
    result : In(stream of RESULT)
        From the core.
    packet : Out(stream of WORD)
        Results; heads are RESULT_FIELDS of ``opzo.spec.bus``.
    room : Out(1)
        Another answer would be taken.
    drained : Out(1)
        The results of all runs came from the core.
    completed, refused : Out(1)
        Strobes: the last word of a packet was stored; it is a refusal.
    """

    answer: In(stream.Signature(ANSWER))
    classes: In(Reg.CLASSES.bits)
    result: In(stream.Signature(RESULT))
    packet: Out(stream.Signature(WORD))
    room: Out(1)
    drained: Out(1)
    completed: Out(1)
    refused: Out(1)

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        super().__init__()

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.fifo = fifo = SyncFIFOBuffered(width=WORD.size, depth=PENDING_RESULTS * (2 + self.limits.classes))
        word = data.View(WORD, fifo.w_data)
        out: Any = wiring.flipped(self).packet
        m.d.comb += [out.valid.eq(fifo.r_rdy), out.payload.eq(fifo.r_data), fifo.r_en.eq(out.ready)]

        # Packets that were announced and not taken; runs without a result yet.
        packets, runs = Signal(range(PENDING_RESULTS + 1)), Signal(range(PENDING_RESULTS + 1))
        accepted = self.answer.valid & self.answer.ready
        is_run = self.answer.p.status == Status.OK
        taken = self.packet.valid & self.packet.ready & self.packet.p.last
        arrived = self.result.valid & self.result.ready
        m.d.sync += [
            packets.eq(packets + accepted - taken),
            runs.eq(runs + (accepted & is_run) - (arrived & self.result.p.last)),
        ]
        m.d.comb += [
            self.room.eq(packets != PENDING_RESULTS),
            self.drained.eq(runs == 0),
            self.answer.ready.eq(self.room),
            self.result.ready.eq(fifo.w_rdy),
        ]

        # The core's tag is the number of the run among the pending ones.
        kept: Any = Signal(data.ArrayLayout(_KEPT, 1 << PLACE_BITS), reset_less=True)
        place = Signal(PLACE_BITS)
        with m.If(accepted & is_run):
            m.d.sync += [
                place.eq(place + 1),
                kept[place].tag.eq(self.answer.p.tag),
                kept[place].more.eq(1 + Mux(self.answer.p.outputs, self.classes, 0)),
            ]
        run = kept[self.result.p.tag]
        refusal = accepted & ~is_run
        head = Cat(
            Mux(refusal, 0, self.result.p.data[:8]),
            Mux(refusal, self.answer.p.status, Const(Status.OK, 8)),
            Mux(refusal, self.answer.p.tag, run.tag),
            Mux(refusal, Const(0, 8), run.more),
        )
        m.d.comb += [
            word.data.eq(Mux(refusal | self.result.p.first, head, self.result.p.data)),
            word.last.eq(refusal | self.result.p.last),
            fifo.w_en.eq(refusal | arrived),
            self.completed.eq(fifo.w_en & word.last),
            self.refused.eq(refusal),
        ]
        check(m, "room", ~fifo.w_en | fifo.w_rdy, "a result comes without room for it")
        check(m, "order", ~(refusal & arrived), "a sample is refused while results of earlier ones come")
        check(m, "runs", ~arrived | (runs != 0), "a result comes that no sample announced")
        check_stream(m, "packet", self.packet)
        return m
