"""What a group of lanes remembers of its neurons: small memories with synchronous reads."""

from typing import Any

from amaranth import Module, Signal, Value, signed
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out

from opzo.spec.formats import CREDIT, HISTORY_STEPS, MEMBRANE, SURROGATE_OFF
from opzo.spec.network import Limits

STEP_BITS = (HISTORY_STEPS - 1).bit_length()
CODE = data.StructLayout({"surrogate": range(SURROGATE_OFF + 1), "spike": 1})
"""Of one neuron and step."""


class NeuronState(wiring.Component):
    """Membrane potentials, input currents, spike codes and credits of the neurons of ``size`` lanes.

    Every read comes one cycle after its address, but two for ``code`` and the credits. An address names a neuron by
    lane, the lowest bits, and word; where there is one value a step, the step stands between them. Words: ``membrane``
    {v, sign of the even step}; ``current`` of layer 1; ``code``, ``credit``, ``error`` (of read-out words) by step;
    ``signs`` {sign of the even step, spike} of all lanes by word and step, step in the low bits.

    Members
    -------
    lane, word : In -> v, negative, current : Out
    code_lane, code_word, code_step : In -> code : Out
    sign_word, sign_step : In -> negatives, spiked : Out(size)
    filter_lane, filter_word, filter_step : In -> credit, error_credit : Out
    current_en, current_lane, current_word, current_next : In
    fired_en, credit_en : In(1), result_lane, result_word, result_step, *_next : In
        Write of ``membrane`` and ``code``, or of ``credit``.
    signs_en, signs_word, signs_step, negatives_next, spiked_next : In
    error_en, error_lane, error_word, error_step, error_next : In
    """

    lane: Signal
    word: Signal
    code_lane: Signal
    code_word: Signal
    code_step: Signal
    v: Signal
    negative: Signal
    current: Signal
    code: data.View
    sign_word: Signal
    sign_step: Signal
    negatives: Signal
    spiked: Signal
    filter_lane: Signal
    filter_word: Signal
    filter_step: Signal
    credit: Signal
    error_credit: Signal
    current_en: Signal
    current_lane: Signal
    current_word: Signal
    current_next: Signal
    fired_en: Signal
    credit_en: Signal
    result_lane: Signal
    result_word: Signal
    result_step: Signal
    v_next: Signal
    negative_next: Signal
    code_next: data.View
    credit_next: Signal
    signs_en: Signal
    signs_word: Signal
    signs_step: Signal
    negatives_next: Signal
    spiked_next: Signal
    error_en: Signal
    error_lane: Signal
    error_word: Signal
    error_step: Signal
    error_next: Signal

    def __init__(self, limits: Limits, size: int) -> None:
        self._words, self._size = limits.words, size
        self._read_out_words = limits.readout_words
        lane, word = range(size), range(max(limits.words, 2))
        error_word = range(max(self._read_out_words, 2))
        potential, credit = signed(MEMBRANE.width), signed(CREDIT.width)
        super().__init__(
            {
                **{f"{name}lane": In(lane) for name in ("", "code_", "filter_", "current_", "result_", "error_")},
                **{f"{name}word": In(word) for name in ("", "code_", "sign_", "current_", "result_", "signs_")},
                **{f"{name}_step": In(STEP_BITS) for name in ("code", "sign", "filter", "result", "signs", "error")},
                **{f"{name}_en": In(1) for name in ("current", "fired", "credit", "signs", "error")},
                "filter_word": In(range(max(limits.words, self._read_out_words, 2))),
                "error_word": In(error_word),
                "v": Out(potential),
                "negative": Out(1),
                "current": Out(potential),
                "code": Out(CODE),
                "negatives": Out(size),
                "spiked": Out(size),
                "credit": Out(credit),
                "error_credit": Out(credit),
                "current_next": In(potential),
                "v_next": In(potential),
                "negative_next": In(1),
                "code_next": In(CODE),
                "credit_next": In(credit),
                "negatives_next": In(size),
                "spiked_next": In(size),
                "error_next": In(credit),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        size, bits = self._size, (self._size - 1).bit_length()
        neurons = self._words * size
        membrane = data.StructLayout({"v": signed(MEMBRANE.width), "negative": 1})
        signs = data.StructLayout({"negatives": size, "spiked": size})

        def neuron(lane: Signal, word: Signal) -> Value:
            """Address of a neuron."""
            return lane | (word << bits)

        def value(lane: Signal, word: Signal, step: Signal) -> Value:
            """Address of one of its values by step."""
            return lane | (step << bits) | (word << (bits + STEP_BITS))

        read, write = self.add_memory(m, "membrane", membrane, neurons)
        m.d.comb += [
            read.addr.eq(neuron(self.lane, self.word)),
            self.v.eq(read.data.v),
            self.negative.eq(read.data.negative),
            write.addr.eq(neuron(self.result_lane, self.result_word)),
            write.data.v.eq(self.v_next),
            write.data.negative.eq(self.negative_next),
            write.en.eq(self.fired_en),
        ]
        read, write = self.add_memory(m, "current", signed(MEMBRANE.width), neurons)
        m.d.comb += [
            read.addr.eq(neuron(self.lane, self.word)),
            self.current.eq(read.data),
            write.addr.eq(neuron(self.current_lane, self.current_word)),
            write.data.eq(self.current_next),
            write.en.eq(self.current_en),
        ]
        read, write = self.add_memory(m, "code", CODE, neurons * HISTORY_STEPS)
        m.d.comb += [
            read.addr.eq(value(self.code_lane, self.code_word, self.code_step)),
            write.addr.eq(value(self.result_lane, self.result_word, self.result_step)),
            write.data.eq(self.code_next),
            write.en.eq(self.fired_en),
        ]
        # The shift of a credit by its code needs most of a cycle.
        m.d.sync += self.code.eq(read.data)
        read, write = self.add_memory(m, "signs", signs, self._words * HISTORY_STEPS)
        m.d.comb += [
            read.addr.eq(self.sign_step | (self.sign_word << STEP_BITS)),
            self.negatives.eq(read.data.negatives),
            self.spiked.eq(read.data.spiked),
            write.addr.eq(self.signs_step | (self.signs_word << STEP_BITS)),
            write.data.negatives.eq(self.negatives_next),
            write.data.spiked.eq(self.spiked_next),
            write.en.eq(self.signs_en),
        ]
        read, write = self.add_memory(m, "credit", signed(CREDIT.width), neurons * HISTORY_STEPS)
        m.d.comb += [
            read.addr.eq(value(self.filter_lane, self.filter_word, self.filter_step)),
            write.addr.eq(value(self.result_lane, self.result_word, self.result_step)),
            write.data.eq(self.credit_next),
            write.en.eq(self.credit_en),
        ]
        m.d.sync += self.credit.eq(read.data)
        read, write = self.add_memory(m, "error", signed(CREDIT.width), self._read_out_words * size * HISTORY_STEPS)
        m.d.comb += [
            read.addr.eq(value(self.filter_lane, self.filter_word, self.filter_step)),
            write.addr.eq(value(self.error_lane, self.error_word, self.error_step)),
            write.data.eq(self.error_next),
            write.en.eq(self.error_en),
        ]
        m.d.sync += self.error_credit.eq(read.data)
        return m

    def add_memory(self, m: Module, name: str, shape: object, depth: int) -> tuple[Any, Any]:
        """Read and write port of a new memory of ``depth`` values of ``shape``, a submodule of ``m``.

        Nobody uses what is read in the cycle in which it is written; synthesis is told so (`boards.families.flow`).
        """
        unit: memory.Memory = memory.Memory(shape=shape, depth=depth, init=[])
        m.submodules[name] = unit
        return unit.read_port(), unit.write_port()
