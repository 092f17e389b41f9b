"""What one lane remembers of its neurons: small memories with synchronous reads."""

from amaranth import Module, Signal, signed
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out

from opzo.spec.formats import CREDIT, HISTORY_STEPS, MEMBRANE, SURROGATE_OFF
from opzo.spec.network import Limits

CODE = data.StructLayout({"surrogate": range(SURROGATE_OFF + 1), "spike": 1, "negative": 1})
"""Of one neuron and step: surrogate code, spike, and the sign of the pair's even step."""
STEP_BITS = (HISTORY_STEPS - 1).bit_length()


class LaneState(wiring.Component):
    """Membrane potential, input current, spike codes and credits of a lane's neurons.

    Every read comes one cycle after its address. Words: ``membrane`` {v, sign of the even step} by hidden
    word; ``current`` by word of layer 1; ``code`` and ``credit`` by hidden word and step, step in the low bits;
    ``error_credit`` by read-out word and step.

    Members
    -------
    membrane_word : In -> v, negative, current : Out
    code_word, code_step : In -> code : Out(CODE)
    filter_address : In -> credit, error_credit : Out
    fired_en, fired_word, fired_step, *_next : In
        Write of ``membrane`` and ``code``.
    current_en, current_word, current_next : In
    credit_en : In
        Write of ``credit_next`` at ``fired_word``, ``fired_step``.
    error_en, error_address, error_next : In
    """

    membrane_word: Signal
    v: Signal
    negative: Signal
    current: Signal
    code_word: Signal
    code_step: Signal
    code: data.View
    filter_address: Signal
    credit: Signal
    error_credit: Signal
    fired_en: Signal
    fired_word: Signal
    fired_step: Signal
    v_next: Signal
    negative_next: Signal
    spike_next: Signal
    surrogate_next: Signal
    current_en: Signal
    current_word: Signal
    current_next: Signal
    credit_en: Signal
    credit_next: Signal
    error_en: Signal
    error_address: Signal
    error_next: Signal

    def __init__(self, limits: Limits) -> None:
        self._words = limits.words
        self._read_out_words = -(-limits.classes // limits.lanes)
        word = range(max(limits.words, 2))
        word_bits = (max(limits.words, 2) - 1).bit_length()
        error_bits = max(1, (self._read_out_words - 1).bit_length())
        super().__init__(
            {
                "membrane_word": In(word),
                "v": Out(signed(MEMBRANE.width)),
                "negative": Out(1),
                "current": Out(signed(MEMBRANE.width)),
                "code_word": In(word),
                "code_step": In(STEP_BITS),
                "code": Out(CODE),
                "filter_address": In(max(word_bits, error_bits) + STEP_BITS),
                "credit": Out(signed(CREDIT.width)),
                "error_credit": Out(signed(CREDIT.width)),
                "fired_en": In(1),
                "fired_word": In(word),
                "fired_step": In(STEP_BITS),
                "v_next": In(signed(MEMBRANE.width)),
                "negative_next": In(1),
                "spike_next": In(1),
                "surrogate_next": In(range(SURROGATE_OFF + 1)),
                "current_en": In(1),
                "current_word": In(word),
                "current_next": In(signed(MEMBRANE.width)),
                "credit_en": In(1),
                "credit_next": In(signed(CREDIT.width)),
                "error_en": In(1),
                "error_address": In(error_bits + STEP_BITS),
                "error_next": In(signed(CREDIT.width)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        neuron = data.StructLayout({"v": signed(MEMBRANE.width), "negative": 1})
        by_step = self._words * HISTORY_STEPS
        membrane: memory.Memory = memory.Memory(shape=neuron, depth=self._words, init=[])
        current: memory.Memory = memory.Memory(shape=signed(MEMBRANE.width), depth=self._words, init=[])
        code: memory.Memory = memory.Memory(shape=CODE, depth=by_step, init=[])
        credit: memory.Memory = memory.Memory(shape=signed(CREDIT.width), depth=by_step, init=[])
        error: memory.Memory = memory.Memory(
            shape=signed(CREDIT.width), depth=self._read_out_words * HISTORY_STEPS, init=[]
        )
        m.submodules.membrane, m.submodules.current = membrane, current
        m.submodules.code, m.submodules.credit, m.submodules.error = code, credit, error
        fired_address = Signal(self.filter_address.shape())
        m.d.comb += fired_address.eq(self.fired_step | (self.fired_word << STEP_BITS))

        read, write = membrane.read_port(), membrane.write_port()
        m.d.comb += [
            read.addr.eq(self.membrane_word),
            self.v.eq(read.data.v),
            self.negative.eq(read.data.negative),
            write.addr.eq(self.fired_word),
            write.data.v.eq(self.v_next),
            write.data.negative.eq(self.negative_next),
            write.en.eq(self.fired_en),
        ]
        read, write = current.read_port(), current.write_port()
        m.d.comb += [
            read.addr.eq(self.membrane_word),
            self.current.eq(read.data),
            write.addr.eq(self.current_word),
            write.data.eq(self.current_next),
            write.en.eq(self.current_en),
        ]
        read, write = code.read_port(), code.write_port()
        m.d.comb += [
            read.addr.eq(self.code_step | (self.code_word << STEP_BITS)),
            self.code.eq(read.data),
            write.addr.eq(fired_address),
            write.data.surrogate.eq(self.surrogate_next),
            write.data.spike.eq(self.spike_next),
            write.data.negative.eq(self.negative_next),
            write.en.eq(self.fired_en),
        ]
        read, write = credit.read_port(), credit.write_port()
        m.d.comb += [
            read.addr.eq(self.filter_address),
            self.credit.eq(read.data),
            write.addr.eq(fired_address),
            write.data.eq(self.credit_next),
            write.en.eq(self.credit_en),
        ]
        read, write = error.read_port(), error.write_port()
        m.d.comb += [
            read.addr.eq(self.filter_address),
            self.error_credit.eq(read.data),
            write.addr.eq(self.error_address),
            write.data.eq(self.error_next),
            write.en.eq(self.error_en),
        ]
        return m
