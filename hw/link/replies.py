"""Reply store of the link: the answers to the last frames, and the results of the runs."""

from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.fifo import SyncFIFO
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out, connect, flipped

from opzo.hw.interface import RESULT
from opzo.hw.lib.words import WordsToBytes
from opzo.hw.link.frame import ReplySignature
from opzo.spec.commands import ANSWERS, MOST_ANSWERS, REPLY, RUN_COMMANDS, Command, Status
from opzo.spec.limits import Limits
from opzo.spec.protocol import REPLAY
from opzo.spec.registers import Counter

TAG_BITS = (REPLAY - 1).bit_length()
STATUS_BITS = max(Status).bit_length()
BLOCK_WORDS = len(ANSWERS[Command.RUN_STORED].fields) + 2 * len(Counter) + 2 * MOST_ANSWERS
"""Most words of the result of a block: its fields, the counters and the answers."""
EXECUTED = data.StructLayout({"seq": 8, "code": 8, "status": STATUS_BITS})
"""An executed frame and its answer."""


class ReplyControl(wiring.Signature):
    """Port of the store for the command processor. A frame has the place ``seq`` modulo REPLAY.

    ``store`` keeps ``executed``; a RUN with status OK is unanswered until its reply was sent. ``known``:
    the frame ``seq`` is kept, and ``found`` is that frame. ``unanswered``: an unanswered RUN has the place of ``seq``.
    ``resend`` sends the reply of RUN ``seq`` again; until then it is unanswered. ``idle``: no RUN is unanswered.
    RUN_STORED is like RUN.
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "store": Out(1),
                "executed": Out(EXECUTED),
                "seq": Out(8),
                "known": In(1),
                "found": In(EXECUTED),
                "unanswered": In(1),
                "resend": Out(1),
                "idle": In(1),
            }
        )


class ReplyStore(wiring.Component):
    """Keep the last REPLAY executed frames, and send the results of runs with the sequence numbers of their frames.

    Golden twin: ``opzo.sim.golden.link.GoldenLink``.

    Parameters
    ----------
    limits : Limits
        Limits of the device.

    Members
    -------
    control : In(ReplyControl)
        From the command processor.
    forget : In(1)
        Forget all frames; only while ``control.idle``.
    result : In(stream)
        From the core; ``tag`` is the place of the RUN.
    reply : Out(ReplySignature)
        Replies of RUN, in the order in which the samples finish.
    """

    control: In(ReplyControl())
    forget: In(1)
    result: In(stream.Signature(RESULT))
    reply: Out(ReplySignature())

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        super().__init__()

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.results = results = ResultSender(self.limits)
        connect(m, flipped(self).result, results.result)
        connect(m, results.reply, flipped(self).reply)
        control = self.control
        # Registers: only REPLAY entries, and ``unanswered`` and ``valid`` change by the bit.
        frames: Any = Signal(data.ArrayLayout(EXECUTED, REPLAY))
        valid = Signal(REPLAY)
        unanswered = Signal(REPLAY)
        executed = control.executed
        place = control.seq[:TAG_BITS]
        m.d.comb += [
            control.found.eq(frames[place]),
            control.known.eq(valid.bit_select(place, 1) & (control.found.seq == control.seq)),
            control.unanswered.eq(unanswered.bit_select(place, 1)),
            control.idle.eq(~unanswered.any()),
            results.resend.eq(control.resend),
            results.resend_tag.eq(place),
            results.seq.eq(frames[results.tag].seq),
        ]
        is_run = executed.code == Command.RUN
        if self.limits.store:
            is_run = executed.code.matches(*RUN_COMMANDS)
            m.d.comb += results.code.eq(frames[results.tag].code)
        with m.If(results.sent):
            m.d.sync += unanswered.bit_select(results.tag, 1).eq(0)
        with m.If(control.store):
            m.d.sync += [
                frames[executed.seq[:TAG_BITS]].eq(executed),
                valid.bit_select(executed.seq[:TAG_BITS], 1).eq(1),
            ]
            with m.If(is_run & (executed.status == Status.OK)):
                m.d.sync += unanswered.bit_select(executed.seq[:TAG_BITS], 1).eq(1)
        with m.If(control.resend):
            m.d.sync += unanswered.bit_select(place, 1).eq(1)
        with m.If(self.forget):
            m.d.sync += valid.eq(0)
        return m


class ResultSender(wiring.Component):
    """Keep the results of REPLAY runs and make replies from them.

    Parameters
    ----------
    limits : Limits
        Limits of the device; the result of a run has up to ``limits.classes`` readouts.

    Members
    -------
    result : In(stream)
        From the core.
    resend, resend_tag : In(1), In(2)
        Send the result of that place again.
    tag : Out(2)
        Place of the result that is being sent.
    seq : In(8)
        Number of the frame in place ``tag``.
    code : In(8)
        Its command; only of a device with a sample store, others know only RUN.
    sent : Out(1)
        The reply of ``tag`` has been sent.
    reply : Out(ReplySignature)
        Replies of RUN.
    """

    result: Any
    resend: Any
    resend_tag: Any
    tag: Any
    seq: Any
    code: Any
    sent: Any
    reply: Any

    def __init__(self, limits: Limits) -> None:
        self._stored = limits.store > 0
        # Prediction, loss and the readouts of one sample.
        words = max(limits.classes + 2, BLOCK_WORDS if self._stored else 0)
        self.index_bits = (words - 1).bit_length()
        super().__init__(
            {
                "result": In(stream.Signature(RESULT)),
                "resend": In(1),
                "resend_tag": In(TAG_BITS),
                "tag": Out(TAG_BITS),
                "seq": In(8),
                **({"code": In(8)} if self._stored else {}),
                "sent": Out(1),
                "reply": Out(ReplySignature()),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        # Word k of the result with tag t in row t << index_bits | k.
        memory: Memory = Memory(shape=32, depth=REPLAY << self.index_bits, init=[])
        m.submodules.memory = memory
        m.submodules.queue = queue = SyncFIFO(width=TAG_BITS, depth=REPLAY)
        m.submodules.bytes = to_bytes = WordsToBytes(4)
        write = memory.write_port()
        read = memory.read_port()
        result, header = self.result, self.reply.header
        connect(m, to_bytes.o, flipped(self).reply.payload)
        last = Signal(data.ArrayLayout(self.index_bits, REPLAY))
        next_index = Signal(self.index_bits)
        written = Mux(result.p.first, 0, next_index)
        index = Signal(self.index_bits)
        # The slow output of the block RAM is registered.
        word = Signal(32)
        m.d.sync += word.eq(read.data)
        m.d.comb += [
            # The queue has one input: ``resend`` goes first.
            result.ready.eq(~self.resend),
            write.addr.eq(Cat(written, result.p.tag)),
            write.data.eq(result.p.data),
            write.en.eq(result.valid & result.ready),
            queue.w_data.eq(Mux(self.resend, self.resend_tag, result.p.tag)),
            queue.w_en.eq(self.resend | (result.valid & result.p.last)),
            read.addr.eq(Cat(index, self.tag)),
            to_bytes.i.p.word.eq(Mux(index == 0, Cat(Const(Status.OK, 8), word[:8]), word)),
            to_bytes.i.p.last.eq(Mux(index == 0, 1, 3)),
            header.p.seq.eq(self.seq),
            header.p.code.eq((self.code if self._stored else Command.RUN) | REPLY),
            # The status and the prediction, then words of 4 bytes.
            header.p.size.eq((last[self.tag] << 2) + 2),
            self.sent.eq(header.valid & header.ready),
        ]
        with m.If(write.en):
            m.d.sync += next_index.eq(written + 1)
            with m.If(result.p.last):
                m.d.sync += last[result.p.tag].eq(written)
        with m.FSM() as fsm:
            with m.State("WAIT"):
                m.d.comb += queue.r_en.eq(1)
                m.d.sync += [self.tag.eq(queue.r_data), index.eq(0)]
                with m.If(queue.r_rdy):
                    m.next = "FETCH"
            with m.State("FETCH"):
                m.next = "READ"
            with m.State("READ"):
                m.next = "LOAD"
            with m.State("LOAD"):
                m.d.comb += to_bytes.i.valid.eq(1)
                with m.If(to_bytes.i.ready):
                    m.d.sync += index.eq(index + 1)
                    m.next = "FETCH"
                    with m.If(index == last[self.tag]):
                        m.next = "FINISH"
            with m.State("FINISH"):
                with m.If(header.ready):
                    m.next = "WAIT"
        m.d.comb += header.valid.eq(~fsm.ongoing("WAIT"))
        return m
